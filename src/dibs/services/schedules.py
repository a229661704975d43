"""Schedules: fire ticks when they are due, each once, whichever worker sees it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from dibs.errors import (
    DibsError,
    DuplicateJobError,
    InvalidScheduleError,
    StoreUnavailableError,
)
from dibs.model.schedule import spec_from_json
from dibs.model.ticks import TickOutcome
from dibs.model.times import SECOND, from_micros
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.ticks import DueSchedule, Fired, schedule_due, schedule_fire
from dibs.store.statement import Operation
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

LOOK_SECONDS = 1.0
"""Longest pause between two looks: what a new schedule, or one that changed, may be late."""
SOON_SECONDS = 0.001
"""Pause where something was fired, and more may be due."""
LEFT_SECONDS = 0.1
"""Pause where another worker is at all that is due."""
BATCH = 100
"""Schedules looked at together; each is fired in a transaction of its own."""


class Schedules(Service):
    """Runs in every worker; no leader is needed, for a schedule moves on only once."""

    name = "schedules"

    def __init__(self, store: Store, on_ready: Callable[[], None]) -> None:
        """Fire in `store`, and call `on_ready` when something may have become ready."""
        super().__init__()
        self._store = store
        self._on_ready = on_ready
        self._failing: dict[str, str] = {}

    async def catch_up(self) -> None:
        """Fire what came due while no worker ran, so that the first claim sees its jobs."""
        try:
            while await self.tick() == 0:
                continue
        except StoreUnavailableError:
            return  # the loop tries again, and says so

    async def tick(self) -> float:
        """Fire what is due; return the seconds until the next tick is."""
        look = await self._store.arun(schedule_due(BATCH))
        if not look.due:
            left = LOOK_SECONDS if look.next_at is None else (look.next_at - look.now) / SECOND
            return min(left, LOOK_SECONDS)
        fired = failed = 0
        for due in random.sample(look.due, len(look.due)):  # so that workers share them
            try:
                fired += await self._fire(due, look.now)
                self._failing.pop(due.name, None)
            except StoreUnavailableError:
                raise
            except DibsError as error:
                failed += 1
                self._report(due.name, error)
        if fired:
            self._on_ready()
            return 0.0 if len(look.due) == BATCH else SOON_SECONDS
        return LOOK_SECONDS if failed else LEFT_SECONDS

    def _report(self, name: str, error: DibsError) -> None:
        """Tell of a schedule that cannot be fired; once, as long as the reason is the same."""
        if self._failing.get(name) == str(error):
            return
        self._failing[name] = str(error)
        log_event(
            logger, logging.ERROR, "schedule_failed",
            f"schedule {name!r} cannot be fired, trying again: {error}",
            schedule=name, error_type=type(error).__name__,
        )  # fmt: skip

    async def _fire(self, due: DueSchedule, now: int) -> bool:
        """Fire a schedule that is due; return whether no other worker has."""
        spec = spec_from_json(due.spec)
        if spec is None:
            raise InvalidScheduleError(
                f"what is stored for it cannot be read: {due.spec!r}; delete it and create it anew"
            )

        def fire(refused: str | None = None) -> Operation[list[Fired]]:
            return schedule_fire(due, spec, now, refused)

        try:
            fired = await self._store.arun(fire())
        except DuplicateJobError as error:
            fired = await self._store.arun(fire(str(error)))
        if fired:
            self._store.nudge({spec.job.queue})
        for one in fired:
            _log(due.name, spec.kind, one)
        return bool(fired)


def _log(name: str, kind: str, one: Fired) -> None:
    outcome, at = one.turn.outcome, from_micros(one.turn.tick).isoformat()
    lost = one.turn.passed + (outcome is TickOutcome.MISSED)
    if lost:
        log_event(
            logger, logging.WARNING, "schedule_missed",
            f"schedule {name!r}: no worker fired {lost} of its ticks in time, up to {at}; they get "
            "no job of their own",
            schedule=name, kind=kind, tick=at, ticks=lost,
        )  # fmt: skip
    if outcome is TickOutcome.ENQUEUED:
        log_event(
            logger, logging.DEBUG, "schedule_fired", f"schedule {name!r} got a job for {at}",
            schedule=name, kind=kind, tick=at, job_id=one.job_id,
        )  # fmt: skip
    elif outcome is not TickOutcome.MISSED:
        log_event(
            logger, logging.INFO, "schedule_skipped",
            f"schedule {name!r} got no job for {at}: {outcome}",
            schedule=name, kind=kind, tick=at, outcome=str(outcome), job_id=one.job_id,
        )  # fmt: skip
