"""What do limits cost, and how much of what they allow is used? Ratios from one run.

python benchmarks/limits.py [--postgres] [--blocked 100000] [--only NAME]

batch         a batch of 100 jobs with limits, from its enqueue to its end, operation by operation,
              divided by one without; taking turns
front         how fast one worker drains jobs without limits while so many others, more urgent,
              wait for a limit that lets none through, divided by how fast it does without them;
              two databases taking turns
utilization   of ten slots of one key, for jobs of 50 to 100 ms and of 0.25 to 0.5 s: the time that
              jobs ran, divided by that of all slots, between the first start and the last one; and
              how long a slot was empty between two jobs, on average
rate          of 200 per second: the jobs that started, divided by what burst and rate allow
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from random import Random

from dibs import Dibs, Limit, Priority
from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Finish
from dibs.model.lines import Demand, Serving
from dibs.model.uses import Use
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.limit_turns import limit_wake
from dibs.store.ops.settle import job_settle

BATCH, BATCHES = 100, 60
DRAINED, TURNS = 10_000, 7
SLOTS, JOBS = 10, 300
LENGTHS = (0.05, 0.25)
"""Seconds that jobs take at least; they take up to twice as long."""
RATE, BURST, STARTS = 200, 20, 1000
WIDE = Limit(name="wide", concurrency=1_000_000)
EACH = Limit(name="each", concurrency=1_000_000, key="{n}")
FAST = Limit(name="fast", rate=1_000_000, burst=1_000_000)
NEEDS: dict[str, list[Limit]] = {
    "none": [], "slot": [WIDE], "rate": [FAST], "both": [WIDE, FAST], "100 keys": [EACH],
}  # fmt: skip
Url = Callable[[], str]
"""Makes a new database."""


# --- A batch -------------------------------------------------------------------------------------


def batch(new_url: Url) -> None:
    url = new_url()
    with contextlib.closing(Dibs(url)) as app, open_store(url, Role.WORKER) as store:
        app.migrate()
        for limit in (WIDE, EACH, FAST):
            app.limits.configure(limit.name or "", concurrency=limit.concurrency, rate=limit.rate,
                                 burst=limit.burst)  # fmt: skip
        spent: dict[str, list[dict[str, float]]] = defaultdict(list)
        for turn in range(BATCHES):
            for what, limits in NEEDS.items():
                needs = [tuple(one.use("x", {"n": n}, 1) for one in limits) for n in range(BATCH)]
                parts = live(store, needs)
                if turn >= BATCHES // 10:
                    spent[what].append(parts)
    plain = statistics.median(sum(parts.values()) for parts in spent["none"])
    for what, batches in spent.items():
        whole = statistics.median(sum(parts.values()) for parts in batches)
        each = {
            part: f"{statistics.median(parts[part] for parts in batches) * 1000:.1f}"
            for part in batches[0]
        }
        print(f"batch        {what:<10} {whole / plain:5.2f}  ms: {each}", flush=True)


def live(store: Store, needs: list[tuple[Use, ...]]) -> dict[str, float]:
    """Take one batch through its life; return the seconds of each part."""
    spent, start = {}, time.perf_counter()

    def done(part: str) -> None:
        nonlocal start
        spent[part], start = time.perf_counter() - start, time.perf_counter()

    store.run(job_enqueue([NewJob("x", "{}", limits=uses) for uses in needs]))
    done("enqueue")
    if needs[0]:
        store.run(limit_wake())
        done("wake")
    limited = bool(needs[0])
    claim = job_claim("w", Serving(("default",)), ["x"], Demand(BATCH), limited=limited)
    jobs = store.run(claim).jobs
    done("claim")
    assert len(jobs) == BATCH
    store.run(job_settle([Finish(job.ticket, State.COMPLETED) for job in jobs]))
    done("settle")
    return spent


# --- Whole workers -------------------------------------------------------------------------------


def front(new_url: Url, blocked: int) -> None:
    sides = []
    for count in (0, blocked):
        app = Dibs(new_url())
        app.migrate()
        free = app.job(kind="free")(_nothing)
        shut = app.job(kind="shut", limits=[Limit(rate=1, per=86_400)])(_nothing)
        urgent = shut.using(priority=Priority.CRITICAL)
        for _ in range(0, count, 10_000):
            app.enqueue_many(urgent.request(n) for n in range(10_000))
        app.worker().run(until_idle=True)
        sides.append((app, free))
    rates: list[list[float]] = [[], []]
    for turn in range(2 * TURNS):
        side = turn % 2 if turn // 2 % 2 else 1 - turn % 2
        app, free = sides[side]
        app.enqueue_many(free.request(n) for n in range(DRAINED))
        start = time.perf_counter()
        app.worker(concurrency=100).run(until_idle=True)
        rates[side].append(DRAINED / (time.perf_counter() - start))
    without, beside = (statistics.median(found) for found in rates)
    print(
        f"front        {blocked:>10,} {beside / without:5.2f}  "
        f"({beside:,.0f} and {without:,.0f} jobs/s)", flush=True,
    )  # fmt: skip
    for app, _ in sides:
        app.close()


async def _nothing(n: int) -> None: ...


def utilization(new_url: Url) -> None:
    for least in LENGTHS:
        use(new_url(), least)


def use(url: str, least: float) -> None:
    app = Dibs(url)
    app.migrate()
    spans: list[tuple[float, float]] = []

    @app.job(limits=[Limit(concurrency=SLOTS)])
    async def work(seconds: float) -> None:
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        spans.append((start, time.perf_counter()))

    chance = Random(1)
    app.enqueue_many(work.request(chance.uniform(least, 2 * least)) for _ in range(JOBS))
    app.worker(concurrency=4 * SLOTS).run(until_idle=True)
    end = max(start for start, _ in spans)
    begin = min(start for start, _ in spans)
    ran = sum(min(stop, end) - start for start, stop in spans)
    empty = (SLOTS * (end - begin) - ran) / (JOBS - SLOTS)
    print(
        f"utilization  {least:>8} s {ran / SLOTS / (end - begin):5.2f}  "
        f"(a slot is empty for {empty * 1000:.1f} ms)", flush=True,
    )  # fmt: skip
    app.close()


def rate(new_url: Url) -> None:
    app = Dibs(new_url())
    app.migrate()
    starts: list[float] = []
    enough = asyncio.Event()

    @app.job(limits=[Limit(rate=RATE, burst=BURST)])
    async def call(n: int) -> None:  # noqa: ARG001 - tells the jobs apart
        starts.append(time.perf_counter())
        if len(starts) == STARTS:
            enough.set()

    async def run() -> None:
        worker = app.worker(concurrency=100)
        running = asyncio.create_task(worker.arun())
        await enough.wait()
        worker.stop()
        await running

    app.enqueue_many(call.request(n) for n in range(STARTS + 100))
    asyncio.run(run())
    allowed = BURST + RATE * (starts[STARTS - 1] - starts[0])
    print(f"rate         {RATE:>8}/s {STARTS / allowed:5.2f}", flush=True)
    app.close()


@contextlib.contextmanager
def databases(postgres: bool) -> Iterator[Url]:
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield cluster.create_database
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-limits-") as folder:
            numbers = iter(range(100))
            yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure limits.")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--blocked", type=int, default=100_000, metavar="N")
    parser.add_argument("--only", choices=["batch", "front", "utilization", "rate"])
    options = parser.parse_args()
    parts: dict[str, Callable[[Url], None]] = {
        "batch": batch,
        "front": lambda new_url: front(new_url, options.blocked),
        "utilization": utilization,
        "rate": rate,
    }
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with databases(options.postgres) as new_url:
        for name, part in parts.items():
            if options.only in {None, name}:
                part(new_url)


if __name__ == "__main__":
    main()
