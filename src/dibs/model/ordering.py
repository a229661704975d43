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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from dibs.model.lines import Demand, Line, Serving, Turn
from dibs.model.merging import Merged, Shared, Source, Urgent
from dibs.model.queues import STRICT, QueuePolicy

Credit = dict[str, tuple[Mapping[Any, int], dict[Any, int]]]
"""What weights still owe, with those weights: kept by a worker from one claim to the next."""

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
    if not demand.below:
        return list(islice(source, demand.count))
    turns: list[Turn] = []
    while demand.count > 0 and source.peek(demand.lowest) is not None:
        turns.append(source.take())
        demand = demand.after(turns[-1:])
    return turns


def ranks(
    turns: Sequence[Turn], serving: Serving, policies: Mapping[str, QueuePolicy]
) -> list[int]:
    """Return what decides between jobs that a worker holds and those that it claims next.

    One of a higher rank starts first. Where weights have a say all rank alike, or jobs would take
    back by urgency what the weights gave to others.
    """
    queues = {turn.queue for turn in turns}
    weighted = serving.weights or any(policies.get(queue, STRICT).weights for queue in queues)
    return [0 if weighted else turn.effective for turn in turns]


def _arrange(
    lines: Sequence[Line],
    serving: Serving,
    policies: Mapping[str, QueuePolicy],
    now: int,
    credit: Credit,
) -> Source:
    """Return the lines as one source: levels within queues, queues within the worker."""
    queues: dict[str, list[Line]] = {}
    for line in lines:
        queues.setdefault(line.queue, []).append(line)
    sources = {
        queue: _queue(own, policies.get(queue, STRICT), now, credit)
        for queue, own in sorted(queues.items())
        if serving.weights or policies.get(queue, STRICT).weights
    }
    if serving.weights:
        return Shared(sources, serving.weights, _owed(credit, _QUEUES, serving.weights))
    # Without weights the lines of all queues are one merge, however many queues there are.
    merged = Merged(
        _turns(line, policies.get(line.queue, STRICT), now)
        for line in lines
        if line.queue not in sources
    )
    return Urgent([merged, *sources.values()]) if sources else merged


def _queue(lines: Sequence[Line], policy: QueuePolicy, now: int, credit: Credit) -> Source:
    if not policy.weights:
        return Merged(_turns(line, policy, now) for line in lines)
    levels: dict[int, list[Iterator[Turn]]] = {}
    for line in sorted(lines, reverse=True, key=lambda line: line.priority):
        levels.setdefault(policy.level(line.priority), []).append(_turns(line, policy, now))
    sources = {level: Merged(own) for level, own in levels.items()}
    return Shared(sources, policy.weights, _owed(credit, lines[0].queue, policy.weights))


def _owed(credit: Credit, name: str, weights: Mapping[Any, int]) -> dict[Any, int]:
    """Return what is owed under these weights; under others it was counted in other units."""
    if name not in credit or credit[name][0] != weights:
        credit[name] = (weights, {})
    return credit[name][1]


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
