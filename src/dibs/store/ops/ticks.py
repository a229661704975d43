"""Ticks: which schedules are due, and firing them, each tick once.

A firing is one transaction: it moves the schedule on to its next tick if that is still the one that
was read, stores the jobs, and writes the history. Of two workers one finds the schedule moved, and
has done nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dibs.errors import JobNotFoundError, JobStateError
from dibs.model.job import Job
from dibs.model.schedule import ScheduleSpec
from dibs.model.ticks import Overlap, TickOutcome, Turn, due_ticks, overlapping, turns
from dibs.model.times import from_micros
from dibs.model.timing import delayed
from dibs.store.ops.jobs import job_cancel, job_get
from dibs.store.ops.keys import job_enqueue_keyed
from dibs.store.ops.schedules import locked, readable, schedule_get
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

KEPT = 1000
"""Ticks of each schedule whose history is kept, the newest."""
COLUMNS = ("schedule", "tick", "manual", "outcome", "job_id", "passed", "reason")
REPLACED = "the next tick of its schedule came"
"""Why a job is cancelled under `Overlap.CANCEL_PREVIOUS`."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of one tick of a schedule."""

    at: datetime
    """Its time; where a person had it run, when that was."""
    manual: bool
    """Whether a person had it run at once."""
    outcome: TickOutcome
    job_id: int | None
    """The job that it got, or that stood in its way or for it."""
    passed: int
    """How many ticks before it got neither job nor a record of their own; 1,000 means that many or
    more."""
    reason: str | None
    """Why its job was refused."""
    fired_at: datetime
    """When a worker saw it."""


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose tick is due."""

    name: str
    due: int
    """Its next tick, in microseconds since 1970 UTC."""
    spec: str
    """As it is stored."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which schedules are due at one moment."""

    now: int
    next_at: int | None
    """The earliest next tick of all schedules."""
    due: list[DueSchedule]


@dataclass(frozen=True, slots=True)
class Fired:
    """A tick that was fired, for the log."""

    turn: Turn
    job_id: int | None
    queue: str


@operation(reads=True)
def tick_list(name: str, count: int) -> Steps[list[Tick]]:
    """Return the newest `count` ticks of a schedule, the newest first.

    Raises:
        ScheduleNotFoundError: none has this name.
    """
    yield from schedule_get(name).steps()
    rows = yield Statement("tick_list", {"name": name, "count": count})
    return [_tick(row) for row in rows]


def _tick(row: Row) -> Tick:
    tick, manual, outcome, job_id, passed, reason, fired_at = row
    return Tick(
        from_micros(tick), bool(manual), TickOutcome(outcome), job_id, passed, reason,
        from_micros(fired_at),
    )  # fmt: skip


@operation(reads=True)
def schedule_due(count: int) -> Steps[Look]:
    """Return up to `count` schedules whose tick is due, and when the next one is."""
    [[now, next_at]] = yield Statement("schedule_next", {}, alone=True)
    if next_at is None or next_at > now:
        return Look(now, next_at, [])
    rows = yield Statement("schedule_due", {"count": count, "until": now})
    return Look(now, next_at, [DueSchedule(*row) for row in rows])


# --- Firing --------------------------------------------------------------------------------


@operation()
def schedule_fire(
    due: DueSchedule, spec: ScheduleSpec, now: int, refused: str | None = None
) -> Steps[list[Fired]]:
    """Fire the ticks of a schedule that are due at `now`; nothing where another worker has.

    Args:
        due: the schedule as it was read.
        spec: what its text says.
        now: when it was read, in microseconds.
        refused: why its jobs cannot be stored; None to store them.

    Raises:
        DuplicateJobError: its kind has unique jobs, and another one is not to be returned or can't
            be replaced.
    """
    ticks = due_ticks(spec.timing, due.due, now)
    moved = {
        "name": due.name, "due": due.due, "spec": due.spec, "last_at": ticks[-1],
        "next_at": spec.timing.next_after(now),
    }  # fmt: skip
    if not (yield Statement("schedule_take", moved)):
        return []
    found = turns(ticks, now, spec.missed)
    blocker = yield from _blocker(due.name, spec.overlap)
    found = overlapping(found, spec.overlap, busy=blocker is not None)
    fired = yield from _enqueue(due.name, spec, found, blocker, refused)
    yield from _write(due.name, fired, refused)
    return fired


def _blocker(name: str, overlap: Overlap) -> Generator[Statement, RowList, int | None]:
    """Return a job of an earlier tick that has not ended, and is not to be cancelled."""
    if overlap is Overlap.ALLOW:
        return None
    rows = yield Statement("tick_jobs", {"name": name})
    if overlap is Overlap.SKIP:
        return rows[-1][0] if rows else None
    for (job_id,) in rows:
        try:
            yield from job_cancel(job_id, REPLACED).steps()
        except (JobStateError, JobNotFoundError):
            continue  # it has ended meanwhile
    return None


def _enqueue(
    name: str,
    spec: ScheduleSpec,
    found: Sequence[Turn],
    blocker: int | None,
    refused: str | None,
) -> Generator[Statement, RowList, list[Fired]]:
    """Store the jobs of the turns that get one, and return what became of every turn."""
    wanted = [turn for turn in found if turn.outcome is TickOutcome.ENQUEUED]
    jobs = [
        replace(spec.job, scheduled_at=delayed(name, turn.tick, spec.most_jitter))
        for turn in wanted
    ]
    ends: dict[int, tuple[TickOutcome, int | None]] = {}
    if refused is not None:
        ends = {turn.tick: (TickOutcome.REFUSED, None) for turn in wanted}
    elif jobs:
        placed = yield from job_enqueue_keyed(jobs).steps()
        for turn, place in zip(wanted, placed, strict=True):
            outcome = TickOutcome.DUPLICATE if place.stored is None else TickOutcome.ENQUEUED
            ends[turn.tick] = (outcome, place.id)
            blocker = blocker or place.id
    fired = []
    for turn in found:
        stands_in_way = blocker if turn.outcome is TickOutcome.OVERLAP else None
        outcome, job_id = ends.get(turn.tick, (turn.outcome, stands_in_way))
        fired.append(Fired(replace(turn, outcome=outcome), job_id, spec.job.queue))
    return fired


def _write(
    name: str, fired: Sequence[Fired], reason: str | None, manual: int = 0
) -> Generator[Statement, RowList, None]:
    rows = [
        (
            name, one.turn.tick, manual, str(one.turn.outcome), one.job_id, one.turn.passed,
            reason if one.turn.outcome is TickOutcome.REFUSED else None,
        )
        for one in fired
    ]  # fmt: skip
    yield Statement("tick_add", {"ticks": Rows(COLUMNS, rows)})
    yield Statement("tick_prune", {"name": name, "kept": KEPT})


@operation()
def schedule_run(name: str) -> Steps[Job]:
    """Store a job of a schedule at once, whatever its policies; its next tick stays.

    Raises:
        ScheduleNotFoundError: none has this name.
        InvalidScheduleError: what is stored cannot be read.
        DuplicateJobError: its kind has unique jobs, and another one is not to be returned or can't
            be replaced.
    """
    spec = readable((yield from locked(name)))
    [[now]] = yield Statement("stats_clock", {})
    [[last]] = yield Statement("tick_manual", {"name": name})
    [placed] = yield from job_enqueue_keyed([spec.job]).steps()
    outcome = TickOutcome.ENQUEUED if placed.stored is not None else TickOutcome.DUPLICATE
    turn = Turn(now if last is None else max(now, last + 1), outcome)
    yield from _write(name, [Fired(turn, placed.id, spec.job.queue)], None, manual=1)
    job = yield from job_get(placed.id).steps()
    return replace(job, duplicate=placed.stored is None)
