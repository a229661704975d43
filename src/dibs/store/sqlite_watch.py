"""Notice new work on SQLite: a thread that polls `PRAGMA data_version`, which costs microseconds.

The version changes with every commit of another connection. Only then is the database asked
whether the watched lines have a ready job, or another job is the next due.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from dibs.model.lines import Serving
from dibs.store.ops.workers import watch_probe
from dibs.store.runner import Script, drive
from dibs.telemetry import Pulse, log_event

IDLE_SECONDS = 0.002
"""Between two looks while the worker waits for work."""
BUSY_SECONDS = 0.02
"""Between two looks while it has work anyway."""

logger = logging.getLogger("dibs.store")


class SqliteWatch:
    """Calls back when a commit of somebody else left something to do."""

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        script: Script,
        serving: Serving,
        on_nudge: Callable[[], None],
    ) -> None:
        """Start watching the lines of `serving` in a daemon thread."""
        self._connect = connect
        self._script = script
        self._serving = serving
        self._on_nudge = on_nudge
        self.pulse = Pulse()
        self._idle = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dibs-watch", daemon=True)
        self._thread.start()

    def idle(self, idle: bool) -> None:
        """Look closely while the worker is idle."""
        self._idle = idle

    def close(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join(timeout=1)  # it may be waiting for a lock that others hold

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow(self._connect())
            except Exception as error:  # whatever it is: the thread must go on
                problem = f"watching the database failed, starting again: {error}"
                log_event(logger, logging.WARNING, "watch_failed", problem)
                self._stopped.wait(1)

    def _follow(self, connection: sqlite3.Connection) -> None:
        seen: tuple[int, int | None] = (-1, None)
        try:
            while not self._stopped.wait(IDLE_SECONDS if self._idle else BUSY_SECONDS):
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                self.pulse.beat()
                if version == seen[0]:
                    continue
                ready, due = self._probe(connection)
                if ready or due != seen[1]:
                    self._on_nudge()
                seen = (version, due)
        finally:
            connection.close()

    def _probe(self, connection: sqlite3.Connection) -> tuple[bool, int | None]:
        calls = self._script.calls(watch_probe(self._serving))
        return drive(
            calls, next(calls), lambda call: connection.execute(call.sql, call.params).fetchall()
        )
