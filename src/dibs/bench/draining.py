"""Draining: worker processes with default settings against bare loops that claim and settle.

All four take turns, so that a machine whose speed drifts slows all of them. What is measured is
the time from the first claim to the last settle, by the history's own words; starting and warming
up are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from dibs.bench.bed import Bed
from dibs.bench.processes import Child, Usage
from dibs.bench.report import Figure

ROUNDS = 3
FEW_JOBS = 1_000
"""Below this, one round has to do."""
WARM_UP = 1_000
"""Jobs that each process has run before, on average."""
CPU_JOBS = 10_000
"""CPU seconds are given for this many jobs."""
MEGABYTE = 1_000_000

Side = Literal["worker", "raw"]
VARIANTS: tuple[tuple[Side, int], ...] = (("raw", 1), ("worker", 1), ("raw", 2), ("worker", 2))


@dataclass(slots=True)
class Sum:
    """What the rounds of one variant add up to."""

    jobs: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds per `CPU_JOBS` jobs."""
        return self.cpu / self.jobs * CPU_JOBS


def measure_drain(bed: Bed, jobs: int) -> Iterator[Figure | None]:
    """Drain `jobs` jobs again and again; yields None for each turn, then the figures."""
    sums = {variant: Sum() for variant in VARIANTS}
    for _ in range(_rounds(jobs)):
        for variant, total in sums.items():
            _drain(bed, jobs, *variant, total)
            bed.wipe()
            yield None
    for count in (1, 2):
        label = f"drain, {count} worker{'s' if count > 1 else ''}"
        dibs, raw = sums["worker", count].rate, sums["raw", count].rate
        yield Figure(f"drain_{count}", label, "jobs/s", dibs, raw)
    worker, loop = sums["worker", 1], sums["raw", 1]
    yield Figure("cpu", "worker's CPU per 10,000 jobs", "s", worker.cpu_seconds, loop.cpu_seconds)
    memory = (worker.memory / MEGABYTE, loop.memory / MEGABYTE)
    yield Figure("memory", "worker's peak memory", "MB", *memory)


def turns(jobs: int) -> int:
    """Return how many turns a run takes."""
    return _rounds(jobs) * len(VARIANTS)


def _rounds(jobs: int) -> int:
    return ROUNDS if jobs >= FEW_JOBS else 1


def _drain(bed: Bed, jobs: int, side: Side, count: int, total: Sum) -> None:
    with ExitStack() as ending:
        children = [ending.enter_context(Child(side, bed.url)) for _ in range(count)]
        if side == "worker":
            bed.wait_for_workers(children)
        for child in children:
            child.usage()  # its answer says that it is ready
        warm_up = min(WARM_UP, jobs) * count
        _run(bed, warm_up, warm_up, side, children)
        last, before = bed.raw.last_ended(), [child.usage() for child in children]
        _run(bed, jobs, warm_up + jobs, side, children)
        after = [child.usage() for child in children]
        window = bed.raw.window(last)
    total.jobs += window.jobs
    total.seconds += window.seconds
    total.cpu += sum(map(_cpu_between, before, after))
    total.memory = max(total.memory, *(usage.memory for usage in after))


def _run(bed: Bed, jobs: int, ended: int, side: Side, children: list[Child]) -> None:
    bed.load(jobs)
    if side == "worker":
        bed.wait_for_ended(ended, children)
        return
    for child in children:
        child.send("drain")
    for child in children:
        child.receive()


def _cpu_between(before: Usage, after: Usage) -> float:
    return after.cpu - before.cpu
