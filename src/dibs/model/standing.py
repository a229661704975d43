"""Where a waiting job stands: who is ahead of it, how fast its queue moves, when it may start.

A line is first in, first out, and all of it age alike. So those of a line that are ahead of
another job are always its first ones, whatever the policy, and one bound per line tells them
from the rest: they can be counted in an index, without looking at each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from dibs.model.queues import QueuePolicy
from dibs.model.times import SECOND
from dibs.model.verdicts import Serves

MINUTE = 60 * SECOND
"""What attempts are counted by, in microseconds."""
WINDOW_MINUTES = 5
"""How many of them tell the pace: the current one, as far as it went, and those before it."""
SHORTEST = 10 * SECOND
"""Fewer microseconds are no window: the first job of a minute would pass for a stream of them."""
FOREVER = 2**63 - 1
"""Later than any moment, in microseconds."""


class Spot(NamedTuple):
    """A place in a line of a queue."""

    priority: int
    scheduled_at: int
    job_id: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a queue moves: ended attempts per second, lately."""

    queue: float
    """Of any priority."""
    line: float
    """Of the job's own priority."""
    window: timedelta
    """Over how long that was: since the first minute with an end in it, at most five."""


def within(priorities: Iterable[int], workers: Collection[Serves]) -> list[int]:
    """Return the priorities inside the range of one of `workers`; all where there is none.

    Who can run a job passes over the lines outside its own range, however urgent they are.
    """
    return [
        priority
        for priority in priorities
        if not workers or any(one.lowest <= priority <= one.highest for one in workers)
    ]


def bounds(priorities: Iterable[int], policy: QueuePolicy, mine: Spot, now: int) -> list[Spot]:
    """Return up to where the jobs of each line are ahead of the one at `mine`.

    A job is ahead if its scheduled_at and id, in this order, are smaller than the bound's; lines
    none of whose jobs are ahead have no bound. Under weights, which take turns between levels,
    only the lines of the job's own level count.

    Args:
        priorities: of the queue's lines.
        policy: of the queue.
        mine: where the job stands, or would stand.
        now: microseconds since 1970 UTC.

    Example:
        >>> bounds([20, 0, -5], QueuePolicy(), Spot(0, 100, 7), 500)
        [Spot(priority=20, scheduled_at=9223372036854775807, job_id=0), \
Spot(priority=0, scheduled_at=100, job_id=7)]
    """
    counts = policy.at(mine.priority, now - mine.scheduled_at)
    found = []
    for priority in priorities:
        if policy.weights and policy.level(priority) != policy.level(mine.priority):
            continue
        # Those that count more, and of those that count the same the ones before it.
        above = _reaching(counts + 1, priority, policy, now)
        alike = min(_reaching(counts, priority, policy, now), mine[1:])
        bound = max(above, alike)
        if bound > _NOBODY:
            found.append(Spot(priority, *bound))
    return found


_NOBODY = (-FOREVER, 0)


def _reaching(effective: int, priority: int, policy: QueuePolicy, now: int) -> tuple[int, int]:
    """Return up to where the jobs of a line count `effective` or more."""
    if priority >= effective:
        return (FOREVER, 0)
    waited = policy.aging.needed(priority, effective) if policy.aging else None
    return _NOBODY if waited is None else (now - waited + 1, 0)


def share_of(priority: int, policy: QueuePolicy, priorities: Iterable[int]) -> float | None:
    """Return which part of a queue's turns the level of `priority` gets, None without weights.

    Only levels with work, in the lines of `priorities`, take part, and this one.
    """
    if not policy.weights:
        return None
    mine = policy.level(priority)
    working = {mine, *map(policy.level, priorities)}
    return policy.weights[mine] / sum(policy.weights[level] for level in working)


def window_start(now: int) -> int:
    """Return the first minute, counted since 1970, whose ends tell the pace."""
    return now // MINUTE - WINDOW_MINUTES + 1


def pace_of(moved: Iterable[tuple[int, int, int]], priority: int, now: int) -> Pace:
    """Return how fast a queue and its line of `priority` move.

    A queue that began to move inside the window is measured from then on, and one that has
    stopped slows down with every second.

    Args:
        moved: for each priority how many attempts ended in the window, and in which minute the
            first of them did.
        priority: of the line.
        now: microseconds since 1970 UTC.
    """
    ended = {line: (count, minute) for line, count, minute in moved}
    first = min((minute for _, minute in ended.values()), default=window_start(now))
    micros = max(now - first * MINUTE, SHORTEST)
    line, _ = ended.get(priority, (0, 0))
    whole = sum(count for count, _ in ended.values())
    return Pace(whole * SECOND / micros, line * SECOND / micros, timedelta(microseconds=micros))


def start_after(ahead: int, pace: Pace, share: float | None) -> timedelta | None:
    """Return in how long a job with so many ahead of it starts, about; None if nothing moves.

    While more urgent ones wait, everybody who can run them works for them: so it is the pace of
    the queue that counts, as far as those who can run the job take its lines, or its level's share
    of that. The job's own start is one more. Nobody knows who else will come.
    """
    speed = pace.queue * (1 if share is None else share)
    return timedelta(seconds=(ahead + 1) / speed) if speed else None
