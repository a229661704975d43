"""Waiting times by choice and priority, as figures and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, inf
from typing import NamedTuple

from dibs import Priority

from .choices import CHOICES, Choice
from .flood import MEASURED, SECOND, STREAMS, Job, flood
from .simulate import run

SEED = 1


class Waits(NamedTuple):
    """How long the jobs of one priority waited, in seconds; `inf` where they did not start."""

    choice: Choice
    priority: Priority
    jobs: int
    never: int
    median: float
    most: float
    """The 95th percentile."""
    longest: float


def measure(seed: int = SEED) -> list[Waits]:
    """Run every choice on the same jobs."""
    jobs = flood(seed)
    return [waits for choice in CHOICES for waits in _by_priority(choice, jobs, run(choice, jobs))]


def _by_priority(
    choice: Choice, jobs: Sequence[Job], waited: Sequence[int | None]
) -> Iterable[Waits]:
    for stream in STREAMS:
        seconds = sorted(
            inf if wait is None else wait / SECOND
            for job, wait in zip(jobs, waited, strict=True)
            if job.priority == stream.priority and job.scheduled_at < MEASURED
        )
        yield Waits(
            choice,
            stream.priority,
            len(seconds),
            seconds.count(inf),
            *(seconds[ceil(len(seconds) * share) - 1] for share in (0.5, 0.95, 1.0)),
        )


def told(seconds: float) -> str:
    """Return a waiting time as a person would say it."""
    if seconds == inf:
        return "never"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min"


def table(measured: Iterable[Waits]) -> str:
    """Return the figures as lines of text."""
    head = f"{'':<18}{'':<10}{'jobs':>7}{'median':>10}{'95 %':>10}{'longest':>10}{'never run':>11}"
    lines = [head]
    before = None
    for choice, priority, jobs, never, *times in measured:
        name = "" if choice is before else choice.name
        before = choice
        cells = "".join(f"{told(seconds):>10}" for seconds in times)
        lines.append(f"{name:<18}{priority.name:<10}{jobs:>7}{cells}{never or '-':>11}")
    return "\n".join(lines) + "\n"
