"""The heartbeat: one row per worker, written from a thread.

A thread beats, so a handler that blocks the event loop cannot make a live worker look dead.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from dibs.client.settings import Settings
from dibs.errors import StoreUnavailableError
from dibs.model.times import SECOND
from dibs.store import Store
from dibs.store.statement import Operation
from dibs.telemetry import Ages, Pulse, log_event

logger = logging.getLogger("dibs.worker")


class Heartbeat:
    """Renews a worker's lease until it is stopped."""

    def __init__(
        self, store: Store, settings: Settings, beat: Callable[[], Operation[None]]
    ) -> None:
        """Prepare to carry out `beat` every heartbeat."""
        self._store = store
        self._interval = settings.heartbeat / SECOND
        self._lease = settings.lease / SECOND
        self._beat = beat
        # So that a connection gone deaf is given up while there is time for another one.
        self._within = max(self._lease / 3, 1.0)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dibs-heartbeat", daemon=True)
        self._last = time.monotonic()
        self._lost = False
        self.gave_up = False
        """Whether `cut_off` has ended."""
        self._loops: Mapping[str, Pulse] = {}
        self._late: set[str] = set()
        self._told: set[str] = set()

    @property
    def silent(self) -> float:
        """Seconds since it last reached the database."""
        return time.monotonic() - self._last

    async def cut_off(self, limit: float | None) -> None:
        """Wait until it has not reached the database for `limit` seconds; None waits for ever.

        Raises:
            StoreUnavailableError: always.
        """
        if limit is None:
            await asyncio.Event().wait()
            return
        while (left := limit - self.silent) > 0:  # noqa: ASYNC110 - a thread moves the end
            await asyncio.sleep(left)
        self.gave_up = True
        problem = (
            f"{self._store.url.display} has been out of reach for {self.silent:.0f} s "
            f"(give_up_after={limit:g}): the worker ends, so that it can be started anew"
        )
        log_event(logger, logging.ERROR, "worker_gave_up", problem, seconds=round(self.silent, 1))
        raise StoreUnavailableError(problem)

    def follow(self, loops: Mapping[str, Pulse]) -> None:
        """Tell the database from now on how these loops are doing."""
        self._loops = loops

    def ages(self) -> dict[str, Ages]:
        """Return how the loops are doing."""
        return {name: pulse.ages() for name, pulse in self._loops.items()}

    def start(self) -> None:
        """Register the worker by its first beat, then go on beating in the thread.

        Raises:
            StoreError: the first beat failed.
        """
        self._last = time.monotonic()
        self._store.run(self._beat())
        self._thread.start()

    def holds(self) -> bool:
        """Return whether the lease has not run out: whether what is claimed now is kept."""
        return time.monotonic() - self._last < self._lease

    def stop(self, timeout: float) -> None:
        """Stop beating; wait at most `timeout` seconds for a beat that is under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            asked = time.monotonic()
            try:
                self._store.run(replace(self._beat(), within=self._within))
            except Exception as error:  # whatever it is: without a heartbeat the jobs are lost
                self._report(error)
            else:
                self._last = asked
                self._lost = False
                self._warn_of_late_loops()

    def _warn_of_late_loops(self) -> None:
        """Log once of each loop that stands still although the database answers.

        Those that only come back from an outage are in time again by the next beat.
        """
        ages = self.ages()
        late = {name for name, age in ages.items() if age.late > self._lease}
        self._told &= late
        for name in sorted((late & self._late) - self._told):
            log_event(
                logger, logging.ERROR, "loop_late",
                f"{name} should have succeeded again {ages[name].late:.1f} s ago, and the database "
                "answers: a handler that blocks the event loop is the usual reason",
                loop=name, seconds=round(ages[name].late, 1),
            )  # fmt: skip
            self._told.add(name)
        self._late = late

    def _report(self, error: Exception) -> None:
        silent = self.silent
        log_event(
            logger, logging.WARNING, "heartbeat_failed", f"heartbeat failed: {error}",
            seconds=round(silent, 1),
        )  # fmt: skip
        if silent > self._lease and not self._lost:
            self._lost = True
            log_event(
                logger, logging.ERROR, "lease_lost",
                "the lease has run out: other workers may run this worker's jobs now, and what "
                "it settles late is refused",
                seconds=round(silent, 1),
            )  # fmt: skip
