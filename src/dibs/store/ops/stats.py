"""Counting: how many jobs stand where, and how many ended."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.model.job import State
from dibs.store.statement import Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class PlaceCount:
    """How many live jobs of one queue, kind and priority stand in one state."""

    state: State
    queue: str
    kind: str
    priority: int
    count: int
    oldest: int
    """The earliest scheduled_at among them, in microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How often jobs of one queue and kind ended in one way."""

    queue: str
    kind: str
    outcome: str
    """`completed`, `cancelled`, `dead`, or `failed` for attempts that were retried."""
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything counted, as of one moment."""

    now: int
    places: list[PlaceCount]
    outcomes: list[OutcomeCount]


@operation(reads=True)
def stats_count() -> Steps[Counts]:
    """Count live jobs by place and ended ones by outcome."""
    now = (yield Statement("stats_begin", {}))[0][0]
    places = yield Statement("stats_places", {})
    outcomes = yield Statement("stats_counters", {})
    return Counts(
        now,
        [PlaceCount(State(row[0]), *row[1:]) for row in places],
        [OutcomeCount(*row) for row in outcomes],
    )
