"""The order in which ready jobs start: one pure function for every policy and every worker.

A queue is a set of lines, one per priority; each line is first in, first out by `scheduled_at`,
then id. Nothing behind a line's head can come before it, so whatever the policy says, the next
jobs are a merge of the lines' heads:

    strict      the head with the highest priority
    aging       the head with the highest effective priority; within a line it only falls
    weights     heads take turns in proportion, between the levels of a queue or between queues
    range       the other lines are left out
    reserve     the lines below are left out once the slots that they may use are full

`order` reads lines with their heads, and says which jobs come next; an engine takes as many from
each line. Ranges and reserves look at the priority that a job was enqueued with.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN
from dibs.model.queues import STRICT, QueuePolicy
from dibs.model.shares import next_share

K = TypeVar("K")


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


Credit = dict[str, dict[Any, int]]
"""What weights still owe: kept by a worker from one claim to the next."""

_QUEUES = ""
"""Where the queues' own credit stands, beside that of each queue's levels."""


def order(
    lines: Iterable[Line],
    serving: Serving,
    demand: Demand,
    policies: Mapping[str, QueuePolicy],
    now: int,
    credit: Credit,
) -> list[Turn]:
    """Return the next jobs, in the order in which they are to start.

    Args:
        lines: with so many heads each that none runs out early.
        serving: the worker's range of priorities and weights of queues.
        demand: how many are wanted.
        policies: of the queues that have one.
        now: microseconds since 1970 UTC.
        credit: of weights; changed by every turn they give.

    Example:
        >>> lines = [Line("mail", 0, [(100, 1)]), Line("mail", 20, [(200, 2)])]
        >>> turns = order(lines, Serving(("mail",)), Demand(10), {}, 300, {})
        >>> [turn.job_id for turn in turns]
        [2, 1]
    """
    served = [line for line in lines if serving.serves(line.queue, line.priority)]
    source = _arrange(served, serving, policies, now, credit)
    rooms = dict(demand.below)
    lowest = demand.lowest
    turns: list[Turn] = []
    while len(turns) < demand.count and source.peek(lowest) is not None:
        turn = source.take()
        turns.append(turn)
        for limit in [limit for limit in rooms if turn.priority < limit]:
            rooms[limit] -= 1
            if not rooms[limit]:
                lowest = max(lowest, limit)
    return turns


def rank(turn: Turn, serving: Serving, policies: Mapping[str, QueuePolicy]) -> int:
    """Return what decides between jobs that a worker holds and those that it claims next.

    One of a higher rank starts first. Whom weights let in all rank alike, or they would take
    back by urgency what the weights gave.
    """
    weighted = serving.weights or policies.get(turn.queue, STRICT).weights
    return 0 if weighted else turn.effective


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


# --- Merging ------------------------------------------------------------------------------------


class _Source(Protocol):
    """Gives turns one by one."""

    def peek(self, lowest: int) -> Turn | None:
        """Return the most urgent turn with a priority of at least `lowest`, and leave it."""
        ...

    def take(self) -> Turn:
        """Take the next turn, after a peek that found one."""
        ...


class _Merged:
    """Lines by urgency."""

    def __init__(self, lines: Iterable[Iterator[Turn]]) -> None:
        self.turns = heapq.merge(*lines)
        self._head: Turn | None = next(self.turns, None)

    def peek(self, lowest: int) -> Turn | None:
        while self._head is not None and self._head.priority < lowest:
            self._head = next(self.turns, None)
        return self._head

    def take(self) -> Turn:
        head, self._head = self._head, next(self.turns, None)
        if head is None:
            raise IndexError("no turn is left")
        return head


class _Urgent:
    """Several sources: the one whose turn is the most urgent is next."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self._best: _Source | None = None

    def peek(self, lowest: int) -> Turn | None:
        heads = [(head, n) for n, s in enumerate(self._sources) if (head := s.peek(lowest))]
        if not heads:
            return None
        head, number = min(heads)
        self._best = self._sources[number]
        return head

    def take(self) -> Turn:
        if self._best is None:
            raise IndexError("no turn is left")
        return self._best.take()


class _Shared(Generic[K]):
    """Several sources that take turns by their weights."""

    def __init__(
        self,
        sources: Mapping[K, _Source],
        weights: Mapping[K, int],
        credit: dict[K, int],
    ) -> None:
        self._sources = sources
        self._weights = weights
        self._credit = credit
        self._working: list[K] = []

    def peek(self, lowest: int) -> Turn | None:
        heads = {key: source.peek(lowest) for key, source in self._sources.items()}
        self._working = [key for key, head in heads.items() if head is not None]
        return min((head for head in heads.values() if head is not None), default=None)

    def take(self) -> Turn:
        return self._sources[next_share(self._credit, self._weights, self._working)].take()


def _arrange(
    lines: Sequence[Line],
    serving: Serving,
    policies: Mapping[str, QueuePolicy],
    now: int,
    credit: Credit,
) -> _Source:
    """Return the lines as one source: levels within queues, queues within the worker."""
    queues: dict[str, list[Line]] = {}
    for line in lines:
        queues.setdefault(line.queue, []).append(line)
    sources = {
        queue: _queue(own, policies.get(queue, STRICT), now, credit)
        for queue, own in sorted(queues.items())
    }
    if serving.weights:
        return _Shared(sources, serving.weights, credit.setdefault(_QUEUES, {}))
    if len(sources) == 1:
        return sources.popitem()[1]
    return _Urgent([*sources.values()])


def _queue(lines: Sequence[Line], policy: QueuePolicy, now: int, credit: Credit) -> _Source:
    if not policy.weights:
        return _Merged(_turns(line, policy, now) for line in lines)
    levels: dict[int, list[Iterator[Turn]]] = {}
    for line in sorted(lines, reverse=True, key=lambda line: line.priority):
        levels.setdefault(policy.level(line.priority), []).append(_turns(line, policy, now))
    sources = {level: _Merged(own) for level, own in levels.items()}
    return _Shared(sources, policy.weights, credit.setdefault(lines[0].queue, {}))


def _turns(line: Line, policy: QueuePolicy, now: int) -> Iterator[Turn]:
    queue, priority, heads = line
    if policy.aging is None:
        for scheduled_at, job_id in heads:
            yield Turn(-priority, scheduled_at, job_id, queue, priority)
    else:
        effective = policy.aging.at
        for scheduled_at, job_id in heads:
            urgency = -effective(priority, now - scheduled_at)
            yield Turn(urgency, scheduled_at, job_id, queue, priority)
