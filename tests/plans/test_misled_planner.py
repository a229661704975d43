"""PostgreSQL, misled about how full tables are: nothing is read again and again."""

from __future__ import annotations

import psycopg

from dibs import Dibs, State
from tests.plans.reads import left_alone, reads
from tests.support.waiting import eventually

JOBS = 3_000
TABLES = ("jobs", "ready", "scheduled", "blocked", "running", "dead")
EMPTIED = "UPDATE pg_class SET relpages = 1, reltuples = 0 WHERE relname = ANY (%s)"
"""As a vacuum leaves tables that it found empty and could not cut off."""


def test_after_a_vacuum_of_emptied_tables_counting_and_listing_read_each_job_a_few_times(
    postgres_url: str,
):
    app = Dibs(postgres_url)
    app.migrate()

    @app.job
    def work(number: int) -> None: ...

    with psycopg.connect(postgres_url, autocommit=True) as admin:
        for table in TABLES:
            admin.execute(f"ALTER TABLE dibs_{table} SET (autovacuum_enabled = off)")  # type: ignore[arg-type]
        app.enqueue_many(work.request(number) for number in range(JOBS))
        app.enqueue_many(work.using(delay=3600).request(number) for number in range(JOBS))
        admin.execute(EMPTIED, [[f"dibs_{table}" for table in TABLES]])
        app.close()
        eventually(lambda: left_alone(admin), "the app's connections to end")
        before = reads(admin)

        app = Dibs(postgres_url)
        states = app.stats().states
        assert (states[State.READY], states[State.SCHEDULED]) == (JOBS, JOBS)
        for state in (State.READY, State.SCHEDULED, State.RUNNING, State.DEAD):
            app.jobs.list(state=state, kind="work", limit=10)
        app.close()
        eventually(lambda: left_alone(admin), "the app's connections to end")
        after = reads(admin)
    rows = {name: sum(after[name]) - sum(before[name]) for name in after}
    assert max(rows.values()) <= 20 * JOBS, rows
