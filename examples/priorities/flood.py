"""The jobs: urgent ones that never stop coming, and a few others."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from dibs import Priority

SLOTS = 10
SECOND = 1_000_000
MINUTE = 60 * SECOND
MEASURED = 120 * MINUTE
"""Jobs that come until here are looked at; the flood goes on after that."""
END = 180 * MINUTE
"""What has not started by then has waited an hour or more, and is told as never run."""


class Stream(NamedTuple):
    """Jobs of one priority, which come by chance, and take more or less time by chance."""

    priority: Priority
    share: float
    """Of all slots, on average: what it would take to run them all."""
    seconds: float
    """That a job runs, on average."""


STREAMS = (
    Stream(Priority.CRITICAL, 0.20, 2.0),
    Stream(Priority.HIGH, 0.82, 5.0),  # with CRITICAL more than there is room for
    Stream(Priority.NORMAL, 0.03, 5.0),
    Stream(Priority.LOW, 0.03, 20.0),
)


class Job(NamedTuple):
    """One job; times in microseconds."""

    scheduled_at: int
    priority: int
    takes: int


def flood(seed: int) -> list[Job]:
    """Return all jobs until the end, in the order in which they come; the same for a seed."""
    jobs: list[Job] = []
    for priority, share, seconds in STREAMS:
        chance = Random(f"{seed} {priority.name}")
        pause = seconds / (share * SLOTS)
        now = 0.0
        while (now := now + chance.expovariate(1 / pause) * SECOND) < END:
            takes = chance.expovariate(1 / seconds) * SECOND
            jobs.append(Job(round(now), int(priority), round(takes)))
    return sorted(jobs)
