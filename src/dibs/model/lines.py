"""Lines: what an order is made from, and what it comes to.

A line is the ready jobs of one queue and priority, first in, first out by `scheduled_at`, then id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN


class Line(NamedTuple):
    """The ready jobs of one queue and priority."""

    queue: str
    priority: int
    heads: Sequence[Sequence[int]]
    """(scheduled_at, id) of the first of them, in order."""


class Turn(NamedTuple):
    """One job's turn; sorts by effective priority descending, scheduled_at, id."""

    urgency: int
    """The effective priority with its sign turned."""
    scheduled_at: int
    """Microseconds since 1970 UTC."""
    job_id: int
    queue: str
    priority: int

    @property
    def effective(self) -> int:
        """The priority that counts now."""
        return -self.urgency


@dataclass(frozen=True)
class Serving:
    """What a worker serves."""

    queues: tuple[str, ...]
    weights: Mapping[str, int] = field(default_factory=dict)
    """Of the queues; without any, priority counts across queues."""
    lowest: int = PRIORITY_MIN
    highest: int = PRIORITY_MAX

    @property
    def whole(self) -> bool:
        """Whether it takes jobs of every priority."""
        return self.lowest == PRIORITY_MIN and self.highest == PRIORITY_MAX

    def serves(self, queue: str, priority: int) -> bool:
        """Return whether it takes jobs from this line."""
        return queue in self.queues and self.lowest <= priority <= self.highest

    def above(self, lowest: int) -> Serving:
        """Return this with no line below `lowest`."""
        return self if lowest <= self.lowest else replace(self, lowest=lowest)


@dataclass(frozen=True)
class Demand:
    """How many jobs are wanted."""

    count: int
    below: Mapping[int, int] = field(default_factory=dict)
    """How many at most with a priority below each of these limits."""

    @property
    def lowest(self) -> int:
        """The lowest priority that there is room for."""
        full = (limit for limit, room in self.below.items() if room <= 0)
        return max(full, default=PRIORITY_MIN)

    def after(self, turns: Iterable[Turn]) -> Demand:
        """Return what is still wanted after these turns."""
        taken = [turn.priority for turn in turns]
        rooms = {
            limit: room - sum(priority < limit for priority in taken)
            for limit, room in self.below.items()
        }
        return Demand(self.count - len(taken), rooms)


class Pop(NamedTuple):
    """How many jobs are taken from the front of a line, and where that front was seen."""

    queue: str
    priority: int
    scheduled_at: int
    job_id: int
    take: int


def pops(turns: Iterable[Turn]) -> list[Pop]:
    """Return what each line has to give for `turns`."""
    taken: dict[tuple[str, int], Pop] = {}
    for turn in turns:
        line = (turn.queue, turn.priority)
        pop = taken.get(line)
        taken[line] = (
            Pop(*line, turn.scheduled_at, turn.job_id, 1)
            if pop is None
            else pop._replace(take=pop.take + 1)
        )
    return list(taken.values())
