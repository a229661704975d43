"""Effects in child processes, and of two attempts at the same moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from dibs import Dibs, JobContext, Retry, State
from dibs.client.effects import Effects
from dibs.client.stopping import StopSignal
from dibs.model.lifecycle import Claim, Interrupted, settle
from dibs.model.lines import Demand, Serving
from dibs.store.borrowed import in_transaction
from dibs.store.ops.claim import job_claim
from dibs.store.ops.settle import job_settle
from tests.conformance.callers import caller_of
from tests.conformance.working import work
from tests.support import child_effects, child_handlers
from tests.support.database import query
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
ONE = Demand(1)
WAITS = """
SELECT COUNT(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.mark.parametrize(
    ("then", "result", "rows"),
    [("return", "stored", 1), ("die", "stored", 1), ("roll back", "returned", 0)],
)
def test_a_job_completes_in_its_child_process(
    new_app: NewApp,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    then: str,
    result: str,
    rows: int,
):
    monkeypatch.setenv("CHILD_DATABASE", database_url)
    app = new_app()
    app.migrate()
    query(database_url, "CREATE TABLE charges (id INTEGER)")
    job = child_handlers.declare(app, child_effects.charge, max_attempts=1).enqueue(then)
    work(app)
    ended = app.jobs.get(job.id)
    assert (ended.state, ended.result, ended.error) == (State.COMPLETED, result, None)
    assert query(database_url, "SELECT COUNT(*) FROM charges") == [(rows,)]
    events = [r.__dict__.get("event") for r in caplog.records if r.levelno >= logging.WARNING]
    assert "settle_refused" not in events
    assert "job_buried" not in events


@pytest.mark.parametrize("how", ["rollback", "close", "commit"])
def test_a_block_that_ends_the_transaction_leaves_none_open(
    new_app: NewApp, database_url: str, how: str
):
    app = new_app()
    app.migrate()
    kind = "sqlite3" if database_url.startswith("sqlite") else "psycopg"
    with caller_of(kind, database_url, None) as caller:
        connection = caller.connection

        @app.job(max_attempts=1)
        async def charge(ctx: JobContext) -> None:
            caller.begin()
            with ctx.once("charge", connection) as effect:
                getattr(connection, how)()
                if how != "commit":
                    raise LookupError("of the block")
                effect.result = "receipt"

        job = charge.enqueue()
        work(app)
        if how != "close":
            assert not in_transaction(connection)
    ended = app.jobs.get(job.id)
    told = "commit after the block" if how == "commit" else "of the block"
    assert ended.state is State.DEAD
    assert told in (ended.error or "")
    assert len(query(database_url, "SELECT * FROM dibs_effects")) == (how == "commit")


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_of_two_attempts_the_second_waits_for_the_first(
    new_app: NewApp, database_url: str, commits: bool
):
    app = new_app()

    @app.job
    def charge() -> None: ...

    charge.enqueue()
    kind = "sqlite3" if database_url.startswith("sqlite") else "psycopg"
    first = claim(app, "zombie")

    def successor() -> tuple[bool, Any]:
        end = settle(first, Interrupted(began=True), Retry(), Random(0))
        assert app.store.run(job_settle([end])).moved == {first.job_id}
        with caller_of(kind, database_url, None) as caller:
            caller.begin()
            effects = Effects(claim(app, "successor"), app.runner_for, {}, StopSignal())
            with effects.once("charge", caller.connection) as effect:
                found = effect.first, effect.result
            caller.commit()
            return found

    with caller_of(kind, database_url, None) as caller, ThreadPoolExecutor(1) as pool:
        caller.begin()
        with Effects(first, app.runner_for, {}, StopSignal()).once(
            "charge", caller.connection
        ) as effect:
            assert effect.first
            effect.result = "receipt"
        other = pool.submit(successor)
        if kind == "psycopg":  # on SQLite it could not even be rescued
            eventually(lambda: query(database_url, WAITS) == [(1,)], "the successor to wait")
        caller.commit() if commits else caller.rollback()
        assert other.result(WITHIN) == ((False, "receipt") if commits else (True, None))


def claim(app: Dibs, worker: str) -> Claim:
    [job] = app.store.run(job_claim(worker, Serving(("default",)), ["charge"], ONE)).jobs
    return job.ticket
