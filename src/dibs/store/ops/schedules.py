"""Schedules: declared in code, or written, paused and changed while the system runs.

Whoever changes a schedule locks its row first, so what is decided from the row holds. A tick that
was decided on is never decided on again: `next_at` is always behind `last_at`, whatever is edited,
paused, or done to a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from dibs.errors import InvalidScheduleError, ScheduleExistsError, ScheduleNotFoundError
from dibs.model.schedule import ScheduleSpec, spec_from_json, spec_to_json
from dibs.model.times import from_micros
from dibs.model.timing import Timing
from dibs.store.ops.jobs import moment
from dibs.store.statement import RowList, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as the database knows it."""

    name: str
    spec: ScheduleSpec | None
    """What holds: what somebody wrote while the system ran, without that what code declares. None
    where this version cannot read it."""
    declared: ScheduleSpec | None
    """By the code of the worker that started last."""
    configured: ScheduleSpec | None
    """By a person or program, while the system ran; wins over the declared one."""
    source: Literal["code", "edited", "created"]
    """Who says what it does: code; somebody, against the code; or somebody alone."""
    paused_at: datetime | None
    """Since when it does not tick; None where it does."""
    paused_by: str | None
    """Who paused it, where that was said."""
    pause_reason: str | None
    """Why, where that was said."""
    next_at: datetime | None
    """Its next tick; None while it is paused, and where its calendar has none left."""
    last_at: datetime | None
    """Its newest tick so far, whether that got a job or not."""
    created_at: datetime
    updated_at: datetime
    """When it was last declared otherwise, edited, paused or resumed."""


@dataclass(frozen=True, slots=True)
class Record:
    """A schedule's row, as it is stored."""

    name: str
    spec: str
    declared: str | None
    configured: str | None
    paused_at: int | None
    paused_by: str | None
    pause_reason: str | None
    next_at: int | None
    last_at: int | None
    created_at: int
    updated_at: int

    @property
    def source(self) -> Literal["code", "edited", "created"]:
        """Who says what it does."""
        if self.configured is None:
            return "code"
        return "created" if self.declared is None else "edited"

    def schedule(self) -> Schedule:
        """Return it for the world."""
        return Schedule(
            self.name, spec_from_json(self.spec), spec_of(self.declared), spec_of(self.configured),
            self.source,
            moment(self.paused_at), self.paused_by, self.pause_reason, moment(self.next_at),
            moment(self.last_at), from_micros(self.created_at), from_micros(self.updated_at),
        )  # fmt: skip

    def timed(self, before: Record, now: int) -> Record:
        """Return this with its next tick, as it follows from what was `before`.

        An edit of anything but the timing leaves the next tick as it is, late ones included.
        """
        if self.paused_at is not None:
            return replace(self, next_at=None)
        timing, old = timing_of(self.spec), timing_of(before.spec)
        if timing == old and before.paused_at is None:
            return self
        last = now if self.last_at is None else max(now, self.last_at)
        return replace(self, next_at=None if timing is None else timing.next_after(last))


def spec_of(text: str | None) -> ScheduleSpec | None:
    """Return a stored spec; None where there is none, and where it cannot be read."""
    return None if text is None else spec_from_json(text)


def timing_of(text: str) -> Timing | None:
    """Return when a stored spec ticks; None where it cannot be read."""
    spec = spec_from_json(text)
    return None if spec is None else spec.timing


# --- Reading -------------------------------------------------------------------------------


@operation(reads=True)
def schedule_get(name: str) -> Steps[Schedule]:
    """Return a schedule.

    Raises:
        ScheduleNotFoundError: none has this name.
    """
    rows = yield Statement("schedule_get", {"name": name}, alone=True)
    if not rows:
        raise ScheduleNotFoundError(name)
    return Record(*rows[0]).schedule()


@operation(reads=True)
def schedule_list() -> Steps[list[Schedule]]:
    """Return every schedule, by name."""
    rows = yield Statement("schedule_list", {}, alone=True)
    return [Record(*row).schedule() for row in rows]


@operation(reads=True)
def schedule_preview(name: str | None, timing: Timing | None, n: int) -> Steps[list[datetime]]:
    """Return the next `n` ticks of a schedule, or of a `timing` in its place.

    Raises:
        ScheduleNotFoundError: none has this name.
        InvalidScheduleError: it cannot be read, or `n` is out of its range.
    """
    [[now]] = yield Statement("stats_clock", {})
    if name is None:
        assert timing is not None  # noqa: S101 - one of them is given
        return timing.preview(n, now)
    rows = yield Statement("schedule_get", {"name": name})
    if not rows:
        raise ScheduleNotFoundError(name)
    record = Record(*rows[0])
    return readable(record).timing.preview(n, max(now, record.last_at or now))


def readable(record: Record) -> ScheduleSpec:
    """Return what a schedule does.

    Raises:
        InvalidScheduleError: what is stored cannot be read.
    """
    spec = spec_from_json(record.spec)
    if spec is None:
        raise InvalidScheduleError(
            f"what is stored for schedule {record.name!r} cannot be read: {record.spec!r}; delete "
            "it and create it anew"
        )
    return spec


# --- Changing ------------------------------------------------------------------------------


@operation()
def schedule_create(name: str, spec: ScheduleSpec) -> Steps[Schedule]:
    """Store a new schedule.

    Raises:
        ScheduleExistsError: there is one of this name.
    """
    [[now]] = yield Statement("stats_clock", {})
    if not (yield from add(name, spec, now, declared=None, configured=spec_to_json(spec))):
        raise ScheduleExistsError(name)
    return (yield from schedule_get(name).steps())


def add(
    name: str, spec: ScheduleSpec, now: int, *, declared: str | None, configured: str | None
) -> Generator[Statement, RowList, bool]:
    """Store a new schedule; return whether there was none of this name."""
    told = {"declared": declared, "configured": configured}
    new = {"name": name, "next_at": spec.timing.next_after(now), **told}
    return bool((yield Statement("schedule_add", new)))


def locked(name: str) -> Generator[Statement, RowList, Record]:
    """Lock a schedule and return its row.

    Raises:
        ScheduleNotFoundError: none has this name.
    """
    rows = yield Statement("schedule_lock", {"name": name})
    if not rows:
        raise ScheduleNotFoundError(name)
    return Record(*rows[0])


def _change(name: str, change: Callable[[Record, int], Record]) -> Steps[Schedule]:
    """Lock a schedule, change it, and return it as it is then."""
    before = yield from locked(name)
    [[now]] = yield Statement("stats_clock", {})
    after = change(before, now)
    if after != before:
        yield from write(after.timed(before, now))
    return (yield from schedule_get(name).steps())


def write(record: Record) -> Generator[Statement, RowList, None]:
    """Change a schedule whose row is locked."""
    names = (
        "name", "declared", "configured", "paused_at", "paused_by", "pause_reason", "next_at"
    )  # fmt: skip
    yield Statement("schedule_write", {name: getattr(record, name) for name in names})


@operation()
def schedule_update(name: str, edit: Callable[[ScheduleSpec], ScheduleSpec]) -> Steps[Schedule]:
    """Change what a schedule does, whatever code declares.

    Args:
        name: which one.
        edit: returns what it shall do from what it does.

    Raises:
        ScheduleNotFoundError: none has this name.
        InvalidScheduleError: what is stored cannot be read.
    """

    def change(record: Record, _: int) -> Record:
        edited = spec_to_json(edit(readable(record)))
        return replace(record, configured=edited, spec=edited)

    return (yield from _change(name, change))


@operation()
def schedule_reset(name: str) -> Steps[Schedule]:
    """Return a schedule to what code declares; one that no code declares is left alone.

    Raises:
        ScheduleNotFoundError: none has this name.
    """

    def change(record: Record, _: int) -> Record:
        if record.declared is None:
            return record
        return replace(record, configured=None, spec=record.declared)

    return (yield from _change(name, change))


@operation()
def schedule_pause(name: str, reason: str | None, author: str | None) -> Steps[Schedule]:
    """Have a schedule tick no more; one that is paused keeps its date, and is told anew why.

    Raises:
        ScheduleNotFoundError: none has this name.
    """

    def change(record: Record, now: int) -> Record:
        since = now if record.paused_at is None else record.paused_at
        return replace(record, paused_at=since, paused_by=author, pause_reason=reason)

    return (yield from _change(name, change))


@operation()
def schedule_resume(name: str) -> Steps[Schedule]:
    """Have a schedule tick again, from now on; one that is not paused is left alone.

    Raises:
        ScheduleNotFoundError: none has this name.
    """

    def change(record: Record, _: int) -> Record:
        return replace(record, paused_at=None, paused_by=None, pause_reason=None)

    return (yield from _change(name, change))


@operation()
def schedule_delete(name: str) -> Steps[None]:
    """Remove a schedule and its history; its jobs stay.

    Raises:
        ScheduleNotFoundError: none has this name.
    """
    yield from locked(name)  # or a worker that fires it now would leave its history behind
    yield Statement("schedule_delete", {"name": name})
