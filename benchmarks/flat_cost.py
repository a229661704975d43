"""Does it cost more to enqueue, claim and settle where a million rows wait? Ratios from one run.

    python benchmarks/flat_cost.py [--postgres] [--rows 1000000]

Two databases take turns, batch by batch, so that both meet the same machine: one that holds only
the batch itself, and one that holds a million rows besides, one kind after the other:

    backlog     ready jobs of the same line, ahead of those that come in
    scheduled   jobs of the highest priority whose time has not come
    finished    ended jobs in the history

Figures are the median of a batch's time with the rows, divided by that without.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from dibs.bench.bed import args_of
from dibs.bench.handlers import make_handlers
from dibs.bench.raw import BATCH, drain, open_raw
from dibs.model.job import Priority
from dibs.store.base import Role

BATCHES = 100
WARM_UP = 10
LOADED_AT_ONCE = 100_000


class Side:
    """One of the two databases."""

    def __init__(self, url: str) -> None:
        self.handlers = make_handlers(url)
        self.handlers.app.migrate()
        self.producer = open_raw(url, Role.PRODUCER)
        self.worker = open_raw(url, Role.WORKER)

    def batch(self) -> dict[str, float]:
        """Take one batch through its life; return the seconds of each part."""
        spent = {}
        spent["enqueue"], _ = timed(lambda: self.producer.enqueue_many([args_of(0)] * BATCH))
        spent["claim"], jobs = timed(self.worker.claim)
        spent["settle"], _ = timed(lambda: self.worker.settle(jobs))
        return spent

    def fill(self, rows: str, count: int) -> None:
        later = self.handlers.noop.using(priority=Priority.CRITICAL, delay=timedelta(days=1))
        enqueuer = later if rows == "scheduled" else self.handlers.noop
        for start in range(0, count, LOADED_AT_ONCE):
            numbers = range(start, min(start + LOADED_AT_ONCE, count))
            self.handlers.app.enqueue_many(enqueuer.request(n) for n in numbers)
        if rows == "finished":
            drain(self.worker)

    def close(self) -> None:
        self.producer.close()
        self.worker.close()
        self.handlers.app.close()


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def compare(rows: str, count: int, bare: Side, laden: Side) -> None:
    """Print one line of ratios."""
    laden.fill(rows, count)
    spent: dict[Side, list[dict[str, float]]] = {bare: [], laden: []}
    for turn in range(WARM_UP + BATCHES):
        for side in (bare, laden) if turn % 2 else (laden, bare):
            parts = side.batch()
            if turn >= WARM_UP:
                spent[side].append(parts)
    cells = []
    for part in ("enqueue", "claim", "settle"):
        without, with_rows = (
            statistics.median(batch[part] for batch in spent[side]) for side in (bare, laden)
        )
        cells.append(f"{with_rows / without:8.2f} ({with_rows * 1000:5.1f} ms)")
    print(f"{rows:<10} {count:>9,}", *cells, flush=True)
    for side in (bare, laden):
        side.producer.wipe()


@contextlib.contextmanager
def two_databases(postgres: bool) -> Iterator[tuple[str, str]]:
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield cluster.create_database(), cluster.create_database()
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-flat-") as folder:
            yield f"sqlite:///{folder}/bare.db", f"sqlite:///{folder}/laden.db"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare costs over the number of rows.")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args()
    print(f"ratios of medians over {BATCHES} batches of {BATCH} jobs; 1.00 = flat")
    print(f"{'rows':<10} {'':>9}", *(f"{part:>19}" for part in ("enqueue", "claim", "settle")))
    with two_databases(options.postgres) as urls, contextlib.ExitStack() as closing:
        bare, laden = (Side(url) for url in urls)
        closing.callback(bare.close)
        closing.callback(laden.close)
        for rows in ("backlog", "scheduled", "finished"):
            compare(rows, options.rows, bare, laden)


if __name__ == "__main__":
    main()
