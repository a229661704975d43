"""Room under a limit for a block of a handler: `with` or `async with`, behind `ctx.limit`."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from types import TracebackType

from dibs.client.stopping import StopSignal
from dibs.errors import ConfigurationError, DibsError, StopRequestedError
from dibs.model.lifecycle import Claim
from dibs.model.times import SECOND
from dibs.model.uses import Use
from dibs.store.ops.rooms import Later, Taken, room_free, room_take
from dibs.store.runner import Runner
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.job")

FIRST_SECONDS = 0.01
"""Pause before the second look for a free slot; doubled with each."""
LONGEST_SECONDS = 0.25
"""Longest pause between two looks for a free slot, or for whether the attempt shall stop."""
RULE_SECONDS = 5.0
"""Longest wait for the time of a rate after which it is asked again: its rule may change."""


class Room:
    """Takes room under a limit when the block begins, waiting for it, and gives it back."""

    def __init__(self, runner: Runner, claim: Claim, use: Use, stop: StopSignal) -> None:
        """Take room by `runner` for the attempt of `claim`, until `stop` is told."""
        self._runner = runner
        self._claim = claim
        self._use = use
        self._stop = stop
        self._taken = Taken()
        self._pause = FIRST_SECONDS

    def __enter__(self) -> None:
        """Wait until there is room, and take it.

        Raises:
            StopRequestedError: the attempt shall stop; let it out of the handler.
            ClaimLostError: the job is another attempt's by now; let it out.
            ConfigurationError: nobody declared the limit, or this is an async handler.
        """
        if _on_loop():
            raise ConfigurationError(
                f"with ctx.limit({self._use.name!r}) would stop the worker's event loop while it "
                "waits; write async with"
            )
        self._check_stop()
        while isinstance(found := self._runner.run(room_take(self._claim, self._use)), Later):
            end = time.monotonic() + self._wait(found)
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(left, LONGEST_SECONDS))
                self._check_stop()
        self._taken = found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        if self._taken.part is not None:
            free = room_free(self._claim, self._use.key, self._taken.part)
            try:
                self._runner.run(free)
            except DibsError as failure:
                self._report(failure)

    async def __aenter__(self) -> None:
        """Like `with`, without blocking the event loop."""
        take = room_take(self._claim, self._use)
        found = await self._runner.arun(take)
        while isinstance(found, Later):
            await asyncio.sleep(self._wait(found))
            found = await self._runner.arun(take)
        self._taken = found

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Like `with`, without blocking the event loop."""
        if self._taken.part is not None:
            free = room_free(self._claim, self._use.key, self._taken.part)
            try:
                await self._runner.arun(free)
            except DibsError as failure:
                self._report(failure)

    def _wait(self, later: Later) -> float:
        """Return the seconds until the next look."""
        if later.wait is not None:
            return min(later.wait / SECOND, RULE_SECONDS)
        pause = self._pause * random.uniform(0.75, 1.25)  # so that those who wait don't in step
        self._pause = min(2 * self._pause, LONGEST_SECONDS)
        return min(pause, LONGEST_SECONDS)

    def _check_stop(self) -> None:
        if self._stop.reason is not None:
            raise StopRequestedError(self._stop.reason)

    def _report(self, error: DibsError) -> None:
        """Tell of a slot that could not be given back; what the block did must not be repeated."""
        log_event(
            logger, logging.WARNING, "slot_kept",
            f"a slot of limit {self._use.name!r} could not be given back ({error}); it comes free "
            f"soon after job {self._claim.job_id} ends",
            job_id=self._claim.job_id, limit=self._use.name,
        )  # fmt: skip


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
