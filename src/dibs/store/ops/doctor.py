"""Reading what tells how well the database and its workers are: no finding yet, only facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dibs.model.pauses import Paused
from dibs.store.migrate import schema_version
from dibs.store.ops.pauses import pause_list
from dibs.store.ops.schedules import Schedule, schedule_list
from dibs.store.ops.stats import PlaceCount, stats_count
from dibs.store.ops.workers import FORGET_AFTER, WorkerRecord, worker_list
from dibs.store.statement import Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Holder:
    """What keeps PostgreSQL from cleaning up rows that were deleted since it began."""

    what: str
    """`session`, `prepared`, `slot` or `standby`."""
    name: str
    """The process id, or the name of the prepared transaction or slot."""
    who: str
    """The application or the user."""
    state: str
    age: int | None
    """Microseconds since it began; None where the server does not tell."""
    transactions: int
    """How many transactions have begun since."""


@dataclass(frozen=True, slots=True)
class TableCare:
    """How clean PostgreSQL keeps a table, by its own statistics."""

    name: str
    live: int
    dead: int
    autovacuum: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read at one moment."""

    now: int
    version: int
    """Of the tables; 0 without tables."""
    settings: Mapping[str, str]
    """Of the engine, and figures of its own; which ones there are depends on it."""
    holders: list[Holder]
    tables: list[TableCare]
    workers: list[WorkerRecord] = field(default_factory=list)
    """Also those whose lease ran out within the last hour."""
    places: list[PlaceCount] = field(default_factory=list)
    paused: list[Paused] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)


@operation(reads=True)
def doctor_look(newest: int) -> Steps[Facts]:
    """Return the facts; those of the queue only where its tables are of version `newest`."""
    now = (yield Statement("stats_clock", {}))[0][0]
    version = yield from schema_version().steps()
    settings = {row[0]: row[1] for row in (yield Statement("doctor_settings", {}))}
    holders = [Holder(*row) for row in (yield Statement("doctor_holders", {}))]
    tables = [TableCare(*row) for row in (yield Statement("doctor_tables", {}))]
    if version != newest:
        return Facts(now, version, settings, holders, tables)
    workers = yield from worker_list(FORGET_AFTER).steps()
    counts = yield from stats_count().steps()
    paused = yield from pause_list().steps()
    schedules = yield from schedule_list().steps()
    return Facts(now, version, settings, holders, tables, workers, counts.places, paused, schedules)
