"""A caller's transaction that has enqueued limited jobs, and stays open, holds up nobody.

On SQLite a transaction that has written holds the only write lock, whatever it wrote: there it
holds up every other writer, with limits or without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from dibs import Backoff, Dibs, JobContext, Limit, Retry, State
from tests.support.crowd import work_off
from tests.support.database import query

BLOCKED = """
SELECT a.pid, a.query FROM pg_stat_activity AS a
WHERE {pid} = ANY (pg_blocking_pids(a.pid))
"""
LOCKED = ("dibs_limit_keys", "dibs_limits", "dibs_queues", "dibs_slots", "dibs_arrivals")
"""Tables of which every row can be had while the transaction is open."""


@contextmanager
def looked_at(url: str, holder: psycopg.Connection) -> Iterator[Callable[[], None]]:
    """Lend a look at the server's locks: nobody waits for `holder`, and it has locked no row."""
    waiting = BLOCKED.format(pid=holder.info.backend_pid)
    with psycopg.connect(url) as other:

        def look() -> None:
            assert query(url, waiting) == []
            for table in LOCKED:
                other.execute(f"SELECT 1 FROM {table} FOR UPDATE SKIP LOCKED")  # type: ignore[arg-type]
                other.rollback()

        yield look


@pytest.mark.parametrize("engine", ["postgres"])
def test_an_open_transaction_that_enqueued_limited_jobs_holds_up_nobody(
    new_app: Callable[..., Dibs], postgres_url: str
):
    app = new_app()

    @app.job(
        limits=[Limit(concurrency=1, key="{customer}"), Limit(rate=1000, name="provider")],
        retry=Retry(2, Backoff.exponential(base=0)),
        queue="narrow",
    )
    async def sync(ctx: JobContext, customer: int) -> None:
        if ctx.attempt == 1 and customer == 1:
            raise ValueError("the first attempt")

    app.queues.configure("narrow", concurrency=2)
    looks = 0
    with psycopg.connect(postgres_url) as holder, looked_at(postgres_url, holder) as look:
        held = sync.using(connection=holder).enqueue(1)
        sync.using(connection=holder).enqueue(2)

        def meanwhile() -> None:
            nonlocal looks
            looks += 1
            look()
            if looks < 5:
                sync.enqueue(1)

        ids = app.enqueue_many(sync.request(number % 3) for number in range(12))
        work_off(app, postgres_url, 2, meanwhile=meanwhile, queues=["narrow"])
        look()
        assert looks > 0
        assert {app.jobs.get(id_).state for id_ in ids} == {State.COMPLETED}
        # All rows of the key can be locked at once: it holds none of them.
        with psycopg.connect(postgres_url) as other:
            for table in LOCKED:
                other.execute(f"SELECT 1 FROM {table} FOR UPDATE NOWAIT")  # type: ignore[arg-type]
                other.rollback()
        holder.commit()
    work_off(app, postgres_url, 1, queues=["narrow"])
    assert app.jobs.get(held.id).state is State.COMPLETED
