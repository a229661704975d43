"""Latency: of jobs on an idle queue, and of those who enqueue beside busy workers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

from dibs.bench.bed import Bed
from dibs.bench.processes import Child
from dibs.bench.report import Figure, percentile

PICKUPS = 250
REQUESTS = 300
"""Samples; runs of few jobs take fewer, and say less."""
JOBS_PER_SAMPLE = 4

WARM_UP = 10
PICKUP_PAUSE = (0.005, 0.035)
"""Shortest and longest pause between two jobs on the idle queue, in seconds."""

REQUEST_PAUSE = (0.002, 0.012)
BUSY_WORKERS = 4
BACKLOG = 20_000
"""Jobs that keep the workers busy, at most; more are enqueued when half of them are done."""
LOOK_EVERY = 20
"""Requests between two looks at the backlog."""

MILLISECOND = 1_000_000
"""In nanoseconds."""


def measure_pickup(bed: Bed, jobs: int) -> Iterator[Figure]:
    """Enqueue single jobs for an idle worker; from the return of enqueue to the handler's start."""
    enqueued = {}
    count = WARM_UP + _samples(PICKUPS, jobs)
    with Child("worker", bed.url) as worker:
        bed.wait_for_workers([worker])
        for n in range(count):
            time.sleep(random.uniform(*PICKUP_PAUSE))
            bed.handlers.pickup.enqueue(n)
            enqueued[n] = time.time_ns()
        bed.wait_for_ended(len(enqueued), [worker])
        started = worker.ask("started")
    bed.wipe()
    waits = [(started[str(n)] - enqueued[n]) / MILLISECOND for n in range(WARM_UP, count)]
    yield Figure("pickup_p50", "pick-up on an idle queue, p50", "ms", percentile(waits, 0.5))
    yield Figure("pickup_p99", "pick-up on an idle queue, p99", "ms", percentile(waits, 0.99))


def measure_beside(bed: Bed, jobs: int) -> Iterator[Figure]:
    """Enqueue single jobs, as web requests do, while worker processes run flat out."""
    times = []
    backlog = min(BACKLOG, jobs)
    with ExitStack() as ending:
        workers = [ending.enter_context(Child("worker", bed.url)) for _ in range(BUSY_WORKERS)]
        bed.wait_for_workers(workers)
        for worker in workers:
            worker.usage()
        enqueued = 0
        for n in range(_samples(REQUESTS, jobs)):
            if n % LOOK_EVERY == 0 and enqueued - bed.raw.ended() < backlog / 2:
                bed.load(backlog)
                enqueued += backlog
            time.sleep(random.uniform(*REQUEST_PAUSE))
            start = time.perf_counter_ns()
            bed.handlers.noop.enqueue(n)
            times.append((time.perf_counter_ns() - start) / MILLISECOND)
            enqueued += 1
        bed.wait_for_ended(enqueued, workers)
    bed.wipe()
    what = f"enqueue beside {BUSY_WORKERS} busy workers"
    yield Figure("beside_p50", f"{what}, p50", "ms", percentile(times, 0.5))
    yield Figure("beside_p99", f"{what}, p99", "ms", percentile(times, 0.99))
    yield Figure("beside_max", f"{what}, max", "ms", max(times))


def _samples(most: int, jobs: int) -> int:
    return min(most, max(1, jobs // JOBS_PER_SAMPLE))
