"""Do delayed jobs start in time, and do those that wait cost anything? On a database of its own.

    python benchmarks/delayed.py [--postgres] [--jobs 200] [--rows 1000000]

Lateness is the time from a job's scheduled_at to the first line of its handler, on a worker that
has nothing else to do: the jobs are due one by one, at odd moments. Below it stands by how much a
plain timer was late meanwhile, which is the machine's own part; commits to a busy disk come on top.
Then two databases take turns, batch by batch, so that both meet the same machine: one without
delayed jobs, and one that holds a million, of the highest priority. Figures are medians of a
batch's time without and with them, and their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dibs import Dibs, Priority
from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Finish
from dibs.model.lines import Demand, Serving
from dibs.store import Role, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.settle import job_settle

GAP = 0.1
"""Seconds between two jobs that are due, on average."""
AHEAD = 2.0
"""Seconds until the first of them is due: time for the worker to come to rest."""
COUNT = 100
BATCHES = 200
WARM_UP = 20
AT_ONCE = 10_000
SERVING = Serving(("mail",))


def timers(dues: Iterable[float]) -> list[float]:
    """Return by how many milliseconds a thread that only sleeps wakes up late, in order."""
    late = []
    for due in dues:
        time.sleep(max(0.0, due - time.time()))
        late.append((time.time() - due) * 1000)
    return sorted(late)


def lateness(url: str, jobs: int) -> tuple[list[float], list[float]]:
    """Return for each of so many jobs by how many milliseconds it started late, in order.

    And the same for timers that ran meanwhile: what the machine itself is late by.
    """
    app = Dibs(url)
    app.migrate()
    late: list[float] = []
    done = threading.Event()

    @app.job
    async def note(due: float) -> None:
        late.append((time.time() - due) * 1000)
        if len(late) == jobs:
            done.set()

    worker = app.worker()
    thread = threading.Thread(target=worker.run)
    thread.start()
    worker.started.wait()
    begin, chance = time.time() + AHEAD, random.Random(1)
    dues = [begin + n * GAP + chance.uniform(0, GAP) for n in range(jobs)]
    app.enqueue_many(
        note.using(scheduled_at=datetime.fromtimestamp(due, UTC)).request(due) for due in dues
    )
    # Between the jobs, so that neither is in the other's way.
    awake = timers(due + GAP / 2 for due in dues)
    done.wait(60)
    worker.stop()
    thread.join()
    app.close()
    return sorted(late), awake


class Side:
    """One of the two databases."""

    def __init__(self, url: str, delayed: int) -> None:
        self.producer = open_store(url, Role.PRODUCER)
        self.producer.migrate()
        self.worker = open_store(url, Role.WORKER)
        day = timedelta(days=1) // timedelta(microseconds=1)
        self.later = NewJob("noop", "{}", "mail", int(Priority.CRITICAL), delay=day)
        for start in range(0, delayed, AT_ONCE):
            count = min(AT_ONCE, delayed - start)
            self.producer.run(job_enqueue([self.later] * count))

    def batch(self) -> dict[str, float]:
        """Take one batch through its life; return the seconds of each part."""
        spent = {}
        now = NewJob("noop", "{}", "mail")
        spent["enqueue"], _ = timed(lambda: self.producer.run(job_enqueue([now] * COUNT)))
        claim = job_claim("w", SERVING, ["noop"], Demand(COUNT))
        spent["claim"], found = timed(lambda: self.worker.run(claim))
        spent["enqueue + claim"] = spent["enqueue"] + spent["claim"]
        ended = [Finish(job.ticket, State.COMPLETED) for job in found.jobs]
        self.worker.run(job_settle(ended))
        spent["enqueue delayed"], _ = timed(
            lambda: self.producer.run(job_enqueue([self.later] * COUNT))
        )
        return spent

    def close(self) -> None:
        self.producer.close()
        self.worker.close()


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def compare(bare: Side, laden: Side) -> None:
    """Print one line of ratios for each part."""
    spent: dict[Side, list[dict[str, float]]] = {bare: [], laden: []}
    for turn in range(WARM_UP + BATCHES):
        for side in (bare, laden) if turn % 2 else (laden, bare):
            parts = side.batch()
            if turn >= WARM_UP:
                spent[side].append(parts)
    for part in spent[bare][0]:
        without, with_rows = (
            statistics.median(batch[part] for batch in spent[side]) * 1000 for side in (bare, laden)
        )
        figures = f"{without:>9.2f} ms {with_rows:>9.2f} ms {with_rows / without:>7.2f}"
        print(f"{part:<16} {figures}", flush=True)


@contextlib.contextmanager
def databases(postgres: bool) -> Iterator[Iterator[str]]:
    """Yield as many new databases as are asked for."""
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield iter(cluster.create_database, None)
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-delayed-") as folder:
            yield (f"sqlite:///{folder}/{number}.db" for number in range(100))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure delayed jobs.")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--jobs", type=int, default=200, metavar="N", help="that are due")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="that wait")
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    with databases(options.postgres) as urls, contextlib.ExitStack() as closing:
        for what, late in zip(("jobs", "timers"), lateness(next(urls), options.jobs), strict=True):
            p50, p99 = (late[int(len(late) * share / 100)] for share in (50, 99))
            print(f"{len(late)} {what} were late by {p50:.1f} ms (p50), {p99:.1f} ms (p99)")
        print(f"{'batches of 100':<16} {'0 delayed':>12} {options.rows:>12,} {'ratio':>7}")
        sides = [Side(next(urls), rows) for rows in (0, options.rows)]
        for side in sides:
            closing.callback(side.close)
        compare(*sides)


if __name__ == "__main__":
    main()
