"""Which job is next, written down once more: look at all that wait, choose one, and again.

No lines, no heads, no merging. It shares no code with the policy in `dibs.model`; of policies and
demands it reads what somebody wrote into them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy

STRICT = QueuePolicy()
Owed = dict[tuple[Any, ...], Any]
"""What weights still owe, to ("queue", name) and to ("level", queue, priority)."""


class Waiting(NamedTuple):
    """A ready job."""

    queue: str
    priority: int
    scheduled_at: int
    id: int


def next_jobs(
    jobs: Iterable[Waiting],
    serving: Serving,
    demand: Demand,
    policies: Mapping[str, QueuePolicy],
    now: int,
    owed: Owed,
) -> list[Waiting]:
    """Return the jobs that a worker takes next, one after the other; `owed` changes with each."""
    left = [
        job
        for job in jobs
        if job.queue in serving.queues and serving.lowest <= job.priority <= serving.highest
    ]
    urgency = {job: effective(job, policies.get(job.queue, STRICT), now) for job in left}
    taken: list[Waiting] = []
    _forget(owed, ("queue",), serving.weights)
    for queue in {job.queue for job in left if _has_room(job, demand, taken)}:
        if weights := policies.get(queue, STRICT).weights:
            _forget(owed, ("level", queue), weights)
    while len(taken) < demand.count:
        allowed = [job for job in left if _has_room(job, demand, taken)]
        if not allowed:
            break
        job = _choose(allowed, serving, policies, urgency, owed)
        left.remove(job)
        taken.append(job)
    return taken


def ranks(
    jobs: Iterable[Waiting], serving: Serving, policies: Mapping[str, QueuePolicy], now: int
) -> list[int]:
    """Return what decides among jobs that are held: urgency, where no weights have a say."""
    jobs = list(jobs)
    queues = {job.queue for job in jobs}
    weighted = serving.weights or any(policies.get(queue, STRICT).weights for queue in queues)
    return [0 if weighted else effective(job, policies.get(job.queue, STRICT), now) for job in jobs]


def aged(
    priority: int, waited: int, after: timedelta, every: timedelta, step: int, ceiling: int
) -> int:
    """Return the effective priority: step by step, as they fall due, up to the ceiling."""
    due = after
    while timedelta(microseconds=waited) >= due and priority < ceiling:
        priority = min(ceiling, priority + step)
        due += every
    return priority


def effective(job: Waiting, policy: QueuePolicy, now: int) -> int:
    """Return the priority that counts for a job whose time has come."""
    rule = policy.aging
    if rule is None:
        return job.priority
    assert isinstance(rule.after, timedelta)
    assert isinstance(rule.every, timedelta)
    waited = now - job.scheduled_at
    return aged(job.priority, waited, rule.after, rule.every, rule.step, rule.ceiling)


def _has_room(job: Waiting, demand: Demand, taken: Collection[Waiting]) -> bool:
    """Return whether every limit above the job's priority leaves room for one more below it."""
    return all(
        sum(other.priority < limit for other in taken) < room
        for limit, room in demand.below.items()
        if job.priority < limit
    )


def _choose(
    jobs: list[Waiting],
    serving: Serving,
    policies: Mapping[str, QueuePolicy],
    urgency: Mapping[Waiting, int],
    owed: Owed,
) -> Waiting:
    def standing(job: Waiting) -> tuple[int, int, int]:
        return (-urgency[job], job.scheduled_at, job.id)

    if serving.weights:
        names = sorted({job.queue for job in jobs})
        queue = _serve({("queue", name): serving.weights[name] for name in names}, owed)[1]
    else:
        queue = min(jobs, key=standing).queue
    jobs = [job for job in jobs if job.queue == queue]
    weights = policies.get(queue, STRICT).weights
    if weights:
        levels = sorted({_level(job, weights) for job in jobs}, reverse=True)
        level = _serve({("level", queue, level): weights[level] for level in levels}, owed)[2]
        jobs = [job for job in jobs if _level(job, weights) == level]
    return min(jobs, key=standing)


def _level(job: Waiting, weights: Mapping[int, int]) -> int:
    """Return the level next below a job, or the lowest for those below all."""
    return max((level for level in weights if level <= job.priority), default=min(weights))


def _forget(owed: Owed, whose: tuple[str, ...], weights: Mapping[Any, int]) -> None:
    """Drop what was owed under other weights."""
    said = tuple(sorted(weights.items()))
    if not said:
        return
    if owed.get(("weights", *whose), said) != said:
        for key in [key for key in owed if key[: len(whose)] == whose]:
            del owed[key]
    owed["weights", *whose] = said


def _serve(weights: Mapping[tuple[Any, ...], int], owed: Owed) -> tuple[Any, ...]:
    """Give everyone its weight; the first of those who have most is served and pays for all."""
    for one, weight in weights.items():
        owed[one] = owed.get(one, 0) + weight
    served = max(weights, key=lambda one: owed[one])
    owed[served] -= sum(weights.values())
    return served
