"""Wake idle workers on PostgreSQL by NOTIFY, without slowing down those who enqueue.

NOTIFY takes a lock that is held until the commit is on disk, so it never rides in the
transaction that enqueues: a thread sends it afterwards, one for all that came meanwhile, on a
connection that doesn't wait for the disk. A nudge that gets lost costs one polling interval.
"""

from __future__ import annotations

import atexit
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable

import psycopg

from dibs.store.postgres_connect import connect
from dibs.telemetry import Pulse, log_event

CHANNEL = "dibs"
ANSWER_SECONDS = 5.0
"""How long the server may take to answer; a nudge later than that helps nobody."""
PROBE_SECONDS = 15.0
"""Between two questions to a server that has nothing to say."""
PULSE_SECONDS = 1.0
"""Between two signs of life of who listens in vain."""
GAP_SECONDS = 0.002
"""Shortest time between two notifications of one process."""

logger = logging.getLogger("dibs.store")


class Nudger:
    """Sends notifications from a thread; whoever adds to it never waits."""

    def __init__(self, target: str) -> None:
        """Prepare to notify; the thread starts with the first nudge."""
        self._target = target
        self._queues: set[str] = set()
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, queues: Iterable[str]) -> None:
        """Have the workers of `queues` notified soon."""
        with self._wake:
            self._queues.update(queues)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="dibs-nudge", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._wake.notify()

    def close(self) -> None:
        """Send what is left and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=1)
            atexit.unregister(self.close)

    def _send(self) -> None:
        connection: psycopg.Connection[tuple[object, ...]] | None = None
        while queues := self._next():
            try:
                if connection is None or connection.closed:
                    connection = connect(self._target, "dibs-nudge", answer_within=ANSWER_SECONDS)
                    connection.execute("SET synchronous_commit = off")
                connection.execute(
                    "SELECT pg_notify(%s, queue) FROM unnest(%s::text[]) AS q (queue)",
                    (CHANNEL, sorted(queues)),
                )
            except psycopg.Error as error:
                log_event(logger, logging.DEBUG, "nudge_lost", f"a nudge was lost: {error}")
            time.sleep(GAP_SECONDS)  # coalesce: what comes meanwhile goes out together
        if connection is not None:
            connection.close()

    def _next(self) -> set[str]:
        with self._wake:
            while not self._queues and not self._closed:
                self._wake.wait()
            queues, self._queues = self._queues, set()
            return queues


class Listener:
    """Calls back when a watched queue was nudged."""

    def __init__(self, target: str, queues: frozenset[str], on_nudge: Callable[[], None]) -> None:
        """Start listening in a daemon thread."""
        self._target = target
        self._queues = queues
        self._on_nudge = on_nudge
        self.pulse = Pulse()
        self._stopped = threading.Event()
        # What one end is closed by, the other one notices: the thread waits for it, too.
        self._end, self._ended = socket.socketpair()
        self._thread = threading.Thread(target=self._watch, name="dibs-watch", daemon=True)
        self._thread.start()

    def idle(self, idle: bool) -> None:
        """Do nothing: a notification arrives whether the worker is idle or not."""

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        self._end.close()
        self._thread.join(timeout=1)  # it may be waiting for a server that does not answer

    def _watch(self) -> None:
        with self._ended:
            self._listen()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                with connect(
                    self._target, "dibs-watch", answer_within=ANSWER_SECONDS
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._on_nudge()  # what came while nobody listened
                    self._follow(connection)
            except Exception as error:  # whatever it is: the thread must go on
                problem = f"listening for nudges failed, trying again: {error}"
                log_event(logger, logging.WARNING, "watch_failed", problem)
                self._stopped.wait(1)

    def _follow(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        asked = time.monotonic()
        something = select.poll()
        for end in (connection, self._ended):
            something.register(end, select.POLLIN)
        while not self._stopped.is_set():
            if time.monotonic() - asked > PROBE_SECONDS:
                connection.execute("SELECT")  # fails, where nobody is there any more
                self._on_nudge()  # for those that came with the answer
                asked = time.monotonic()
            self.pulse.beat(PULSE_SECONDS)
            something.poll(PULSE_SECONDS * 1000)
            if any(told.payload in self._queues for told in connection.notifies(timeout=0)):
                self._on_nudge()
