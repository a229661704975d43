"""A service: a loop that does one thing again and again, and heals."""

from __future__ import annotations

import asyncio
import logging
import random

from dibs.errors import DibsError
from dibs.telemetry import Pulse, log_event

logger = logging.getLogger("dibs.service")

BACKOFF_SECONDS = (0.2, 5.0)
"""Pause after the first failure in a row, and the longest one."""
TICK_SECONDS = 60.0
"""A tick that takes longer is given up and tried again."""


class Service:
    """Calls `tick` again and again; one that fails is tried again after a pause."""

    name = "service"

    def __init__(self) -> None:
        """Prepare the loop; `run` starts it."""
        self._poked = asyncio.Event()
        self._closed = False
        self._failures = 0
        self.pulse = Pulse()

    async def tick(self) -> float:
        """Do the work once and return the seconds until the next time."""
        raise NotImplementedError

    def poke(self) -> None:
        """Have the next tick come at once."""
        self._poked.set()

    def close(self) -> None:
        """End the loop after the tick that is under way."""
        self._closed = True
        self._poked.set()

    async def run(self) -> None:
        """Tick until closed or cancelled."""
        while not self._closed:
            self._poked.clear()
            pause = await self._guarded_tick()
            if pause <= 0 or self._closed:
                continue
            try:
                # Not wait_for: before Python 3.12 it may swallow a cancellation, and the loop would
                # go on for ever.
                async with asyncio.timeout(pause):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def _guarded_tick(self) -> float:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                pause = await self.tick()
        except (DibsError, TimeoutError) as error:
            self._log_failure(logging.WARNING, error)
        except Exception as error:
            self._log_failure(logging.ERROR, error)
        else:
            self._failures = 0
            self.pulse.beat(pause)
            return pause
        self._failures += 1
        first, longest = BACKOFF_SECONDS
        return min(first * 2.0 ** (self._failures - 1), longest) * random.uniform(0.5, 1)

    def _log_failure(self, level: int, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        log_event(
            logger, level, f"{self.name}_failed", f"{self.name} failed, trying again: {problem}",
            error_type=type(error).__name__,
        )  # fmt: skip
