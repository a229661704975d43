"""What does aging cost? A claim's time, strict and aging in one run, and the rows it writes.

    python benchmarks/aging.py [--postgres] [--rows 1000000] [--seconds 60]

Two databases hold the same jobs on the same levels; in one the queue ages, and every level has
waited long enough to have grown, each by another amount. They take turns, claim by claim, so that
both meet the same machine. Figures are medians of a claim of 100 jobs, and their ratio. Then the
jobs age for a while, looked at every second, and the database's own statistics tell what was
written meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator

from dibs import Aging, Dibs
from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Finish
from dibs.model.lines import Demand, Serving
from dibs.model.marks import Marks
from dibs.store import Role, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.front import line_fronts
from dibs.store.ops.settle import job_settle

CLAIMS = 150
WARM_UP = 20
COUNT = 100
AT_ONCE = 10_000
SERVING = Serving(("mail",))
AGING = Aging(after=1, every=1, step=1, ceiling=40)
WRITTEN = (
    "SELECT COALESCE(SUM(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables "
    "WHERE relname LIKE 'dibs_%'"
)


class Side:
    """One of the two databases."""

    def __init__(self, url: str, levels: int, rows: int, *, aging: bool) -> None:
        app = Dibs(url)
        app.migrate()
        if aging:
            app.queues.configure("mail", aging=AGING)
        app.close()
        self.store = open_store(url, Role.WORKER)
        self.marks = Marks()
        now = time.time_ns() // 1000
        for start in range(0, rows, AT_ONCE):
            jobs = [
                NewJob("noop", "{}", "mail", n % levels, scheduled_at=now - n % levels * 1_000_000)
                for n in range(start, min(start + AT_ONCE, rows))
            ]
            self.store.run(job_enqueue(jobs))

    def claim(self) -> float:
        """Claim once; return the seconds it took."""
        begin = time.perf_counter()
        claim = job_claim("w", SERVING, ["noop"], Demand(COUNT), {}, self.marks.use(begin))
        found = self.store.run(claim)
        spent = time.perf_counter() - begin
        self.marks.note(found.turns, dry=False)
        self.store.run(job_settle([Finish(job.ticket, State.COMPLETED) for job in found.jobs]))
        return spent


def compare(urls: tuple[str, str], levels: int, rows: int) -> Side:
    """Print one line of figures; return the side that ages."""
    strict, aging = (
        Side(url, levels, rows, aging=ages) for url, ages in zip(urls, (False, True), strict=True)
    )
    spent: dict[Side, list[float]] = {strict: [], aging: []}
    for turn in range(WARM_UP + CLAIMS):
        for side in (strict, aging) if turn % 2 else (aging, strict):
            seconds = side.claim()
            if turn >= WARM_UP:
                spent[side].append(seconds)
    one, other = (statistics.median(spent[side]) * 1000 for side in (strict, aging))
    figures = f"{one:>9.2f} ms {other:>9.2f} ms {other / one:>7.2f}"
    print(f"{levels:>6} {rows:>10,} {figures}", flush=True)
    strict.store.close()
    return aging


def written(url: str, side: Side, seconds: float) -> None:
    """Print what was written while the jobs aged."""
    side.store.close()  # a session on PostgreSQL tells all that it did when it ends
    with counted(url) as count:
        before = count()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            side.store.run(line_fronts(SERVING))
            time.sleep(min(1.0, seconds))
        side.store.close()
        print(f"rows written by {seconds:g} s of aging: {count() - before}")


@contextlib.contextmanager
def counted(url: str) -> Iterator:
    """Yield what counts the changes of rows, by the database's own word."""
    if url.startswith("sqlite"):
        # Changes with every commit of another connection, whatever that wrote.
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            yield lambda: file.execute("PRAGMA data_version").fetchone()[0]
        return
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:

        def count() -> int:
            return int(connection.execute(WRITTEN).fetchall()[0][0])

        yield count


@contextlib.contextmanager
def databases(postgres: bool) -> Iterator[Iterator[str]]:
    """Yield as many new databases as are asked for."""
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield iter(cluster.create_database, None)
    else:
        with tempfile.TemporaryDirectory(prefix="dibs-aging-") as folder:
            yield (f"sqlite:///{folder}/{number}.db" for number in range(100))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare claims with and without aging.")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--seconds", type=float, default=60, metavar="S")
    options = parser.parse_args()
    print(f"a claim of {COUNT}, medians over {CLAIMS}")
    print(f"{'levels':>6} {'waiting':>10} {'strict':>12} {'aging':>12} {'ratio':>7}")
    with databases(options.postgres) as urls:
        for levels in (4, 20):
            pair = (next(urls), next(urls))
            side = compare(pair, levels, options.rows)
            if levels == 20:
                written(pair[1], side, options.seconds)
            side.store.close()


if __name__ == "__main__":
    main()
