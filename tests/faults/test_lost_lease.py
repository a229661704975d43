"""A worker that cannot renew its lease: what it claimed now would be taken from it at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dibs import Dibs, State
from tests.conformance.working import working
from tests.support.database import query
from tests.support.waiting import eventually

REFUSE = {
    "sqlite": (
        "CREATE TRIGGER refuse BEFORE UPDATE ON dibs_workers BEGIN SELECT RAISE(ABORT, 'no'); END",
    ),
    "postgres": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON dibs_workers FOR EACH ROW "
        "EXECUTE FUNCTION refuse()",
    ),
}
ALLOW = {"sqlite": "DROP TRIGGER refuse", "postgres": "DROP TRIGGER refuse ON dibs_workers"}


def test_it_claims_nothing_until_it_has_a_lease_again(
    new_app: Callable[..., Dibs],
    database_url: str,
    engine: str,
    caplog: pytest.LogCaptureFixture,
):
    app = new_app(heartbeat=0.1, lease=0.5)

    @app.job
    async def nothing() -> None: ...

    with working(app):
        first = nothing.enqueue()
        eventually(lambda: app.jobs.get(first.id).state is State.COMPLETED, "a job at its end")
        for statement in REFUSE[engine]:
            query(database_url, statement)
        eventually(lambda: "the lease has run out" in caplog.text, "the end of the lease")
        job = nothing.enqueue()
        time.sleep(0.5)  # two polls, in which it could claim it
        assert app.jobs.get(job.id).state is State.READY
        query(database_url, ALLOW[engine])
        eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "the next heartbeat")
