"""The heartbeat: one row per worker, written from a thread.

A thread beats, so a handler that blocks the event loop cannot make a live worker look dead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from dibs.client.settings import Settings
from dibs.errors import DibsError
from dibs.model.times import SECOND
from dibs.store import Store
from dibs.store.statement import Operation
from dibs.telemetry import log_event

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
            except DibsError as error:
                self._report(error)
            else:
                self._last = asked
                self._lost = False

    def _report(self, error: DibsError) -> None:
        silent = time.monotonic() - self._last
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
