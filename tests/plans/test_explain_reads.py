"""On PostgreSQL explaining a job reads what is ahead of it, up to a bound, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from dibs import Dibs, State
from dibs.store import Role, open_store
from tests.plans.backlog import SMALL, empty, fill
from tests.plans.reads import left_alone, reads
from tests.support.waiting import eventually

READY = 100_000
MOST = 500
COUNTERS = """
INSERT INTO dibs_counters
SELECT m, 'w' || w, 'web', 'crop', 0, 'completed', 1, 0, 0
FROM generate_series(0, 20000) AS m, generate_series(1, 5) AS w
"""
SMALL_TABLES = {"dibs_workers", "dibs_queues", "dibs_running", "dibs_migrations"}


def test_a_job_behind_many_others(postgres_url: str):
    with open_store(postgres_url, Role.PRODUCER) as store:
        store.migrate()
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        empty(admin)
        fill(admin.execute, replace(SMALL, ready=READY, finished=100_000))
        admin.execute(COUNTERS)
        admin.execute("VACUUM ANALYZE")
        [[last]] = admin.execute(
            "SELECT job_id FROM dibs_ready WHERE priority = 0 ORDER BY scheduled_at DESC LIMIT 1"
        ).fetchall()
        before = reads(admin)

        app = Dibs(postgres_url)
        exact = app.jobs.explain(last, most=READY)
        assert (exact.job.state, exact.ahead, exact.ahead_more) == (State.READY, READY - 1, False)
        app.close()
        eventually(lambda: left_alone(admin), "the app's connections to end")
        counted = reads(admin)

        app = Dibs(postgres_url)
        found = app.jobs.explain(last, most=MOST)
        assert (found.ahead, found.ahead_more) == (MOST, True)
        app.close()
        eventually(lambda: left_alone(admin), "the app's connections to end")
        after = reads(admin)

    whole = {name for name in after if after[name][0] > before[name][0]}
    assert whole <= SMALL_TABLES
    rows = {name: after[name][1] - counted[name][1] for name in after}
    assert rows["dibs_ready"] <= MOST + 20, "what is counted, and the lines with their heads"
    assert max(rows[name] for name in rows if name != "dibs_ready") <= 10, rows
