"""On PostgreSQL a process that read while the queue was empty reads as well when it is full.

What a driver prepares once is planned once; reads join many tables, and a plan that was best for
empty ones would go through all of them for every job.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg

from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Finish
from dibs.store import Role, open_store
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_get, job_list
from dibs.store.ops.settle import job_settle
from tests.plans.backlog import SMALL, claim, empty, fill
from tests.support.waiting import eventually

OFTEN = 60
"""Executions after which both the driver and the server have settled for a plan."""


def test_reads_are_planned_for_what_is_there(postgres_url: str):
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        with open_store(postgres_url, Role.PRODUCER) as store:
            store.migrate()
            empty(admin)
            [done] = store.run(job_enqueue([NewJob("send", "{}", "mail")]))
            ended = [Finish(ticket, State.COMPLETED) for ticket in claim(store, "w", 1)]
            store.run(job_settle(ended))
            admin.execute("VACUUM ANALYZE")
            for _ in range(OFTEN):
                assert store.run(job_get(done.id)).state is State.COMPLETED

            fill(admin.execute, replace(SMALL, scheduled=100_000))
            before = read_whole(admin, "dibs_jobs")
            jobs = store.run(job_list(None, None, None, 100))
            assert store.run(job_get(jobs[-1].id)) == jobs[-1]
        eventually(lambda: left_alone(admin), "the store's connections to end")
        # While the table had one row, reading it whole was right.
        assert read_whole(admin, "dibs_jobs") - before <= OFTEN


def left_alone(admin: psycopg.Connection[tuple[int]]) -> bool:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return admin.execute(others).fetchall() == [(1,)]


def read_whole(admin: psycopg.Connection[tuple[int]], table: str) -> int:
    """Return how many rows scans of the whole table read, in this session and ended ones."""
    admin.execute("SELECT pg_stat_force_next_flush()")
    scans = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = %s"
    [[rows]] = admin.execute(scans, [table]).fetchall()
    return rows
