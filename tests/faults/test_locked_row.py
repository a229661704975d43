"""Somebody keeps a row of the queue locked: one job waits, all others go on."""

from __future__ import annotations

import psycopg

from dibs import Dibs, Priority
from tests.conformance.working import working
from tests.support.waiting import eventually


def test_a_locked_job_in_front_holds_up_nobody(postgres_url: str):
    app = Dibs(postgres_url)
    app.migrate()
    ran: list[str] = []

    @app.job
    async def note(name: str) -> None:
        ran.append(name)

    urgent = note.using(priority=Priority.CRITICAL).enqueue("locked")
    names = [str(n) for n in range(20)]
    app.enqueue_many(note.request(name) for name in names)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT * FROM dibs_ready WHERE job_id = %s FOR UPDATE", [urgent.id])
        with working(app, concurrency=1):
            eventually(lambda: len(ran) == 20, "the jobs behind the locked one")
            assert ran == names
            other.rollback()
            eventually(lambda: "locked" in ran, "the job that is free again")
    app.close()
