"""Enqueueing: one by one and in bulk, against the same INSERTs through the bare driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dibs.bench.bed import Bed, args_of
from dibs.bench.report import Figure

ONE_BY_ONE = 2_000
"""Single enqueues measured, at most."""
SLICE = 50
"""Single enqueues before the other side has its turn."""
SECONDS = 4.0
"""Single enqueues may take this long on either side."""
BULKS = 3
"""Bulk enqueues measured on either side."""


def measure_single(bed: Bed, jobs: int) -> Iterator[Figure]:
    """Enqueue one job after the other, each in a transaction of its own."""
    noop, raw = bed.handlers.noop, bed.raw
    spent = {"dibs": 0.0, "raw": 0.0}
    done = 0
    noop.enqueue(0)  # opens the connections
    raw.enqueue(args_of(0))
    while done < min(jobs, ONE_BY_ONE) and max(spent.values()) < SECONDS:
        spent["dibs"] += _timed_each(noop.enqueue, done)
        spent["raw"] += _timed_each(lambda n: raw.enqueue(args_of(n)), done)
        done += SLICE
    bed.wipe()
    yield Figure(
        "enqueue_one", "enqueue, one by one", "jobs/s", done / spent["dibs"], done / spent["raw"]
    )


def measure_bulk(bed: Bed, jobs: int) -> Iterator[Figure]:
    """Enqueue all jobs in one transaction."""
    spent = {"dibs": 0.0, "raw": 0.0}
    for _ in range(BULKS):
        spent["dibs"] += _timed(lambda: bed.load(jobs))
        bed.wipe()
        spent["raw"] += _timed(lambda: bed.raw.enqueue_many([args_of(n) for n in range(jobs)]))
        bed.wipe()
    total = jobs * BULKS
    yield Figure(
        "enqueue_many", "enqueue, in bulk", "jobs/s", total / spent["dibs"], total / spent["raw"]
    )


def _timed_each(enqueue: Callable[[int], object], first: int) -> float:
    start = time.perf_counter()
    for n in range(first, first + SLICE):
        enqueue(n)
    return time.perf_counter() - start


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
