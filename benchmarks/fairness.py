"""How long do small tenants of a fair queue wait behind one that has piled up a million jobs?

    python benchmarks/fairness.py [--postgres] [--rows 1000000]

50 tenants with 10 jobs each, of a millisecond, run by one worker with 10 slots: alone, and beside
one tenant with a million jobs in the same fair queue. Figures are the seconds until the last job of
the 50 has ended, their ratio, and how many jobs of the big one ran meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator

from dibs import Dibs

SMALL, EACH = 50, 10
LOADED_AT_ONCE = 100_000
LONGEST = 300.0


async def time_small(url: str, rows: int) -> tuple[float, int]:
    """Return the seconds until the small ones are done, and how many others ran meanwhile."""
    app = Dibs(url)
    app.migrate()
    left, others = SMALL * EACH, 0
    done = asyncio.Event()

    @app.job(queue="mail")
    async def mail(tenant: str, number: int) -> None:  # noqa: ARG001 - tells them apart
        nonlocal left, others
        await asyncio.sleep(0.001)  # stands for the work
        if tenant == "big":
            others += 1
            return
        left -= 1
        if not left:
            done.set()

    app.queues.configure("mail", fair_by="tenant")
    for start in range(0, rows, LOADED_AT_ONCE):
        numbers = range(start, min(start + LOADED_AT_ONCE, rows))
        app.enqueue_many(mail.request("big", number) for number in numbers)
    app.enqueue_many(mail.request(f"small{n % SMALL}", n) for n in range(SMALL * EACH))
    worker = app.worker(concurrency=10)
    start_time = time.perf_counter()
    task = asyncio.create_task(worker.arun())
    await asyncio.wait_for(done.wait(), LONGEST)
    spent = time.perf_counter() - start_time
    worker.stop()
    await task
    await app.aclose()
    app.close()
    return spent, others


@contextlib.contextmanager
def two_databases(postgres: bool) -> Iterator[tuple[str, str]]:
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield cluster.create_database(), cluster.create_database()
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-fair-") as folder:
            yield f"sqlite:///{folder}/alone.db", f"sqlite:///{folder}/beside.db"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the small tenants of a fair queue.")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args()
    with two_databases(options.postgres) as (first, second):
        alone, _ = asyncio.run(time_small(first, 0))
        beside, others = asyncio.run(time_small(second, options.rows))
    print(f"{SMALL} tenants with {EACH} jobs each alone: {alone:.2f} s")
    print(f"beside one with {options.rows:,}: {beside:.2f} s, {others} of its jobs meanwhile")
    print(f"ratio {beside / alone:.2f}; first in, first out all {options.rows:,} would go before")


if __name__ == "__main__":
    main()
