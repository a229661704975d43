"""Effects that happen once for all attempts, and jobs that end in their handler's transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiosqlite
import psycopg
import pytest

from dibs import Backoff, ClaimLostError, Dibs, DibsError, JobContext, Retry, State
from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.lifecycle import Claim, Interrupted, settle
from dibs.store.ops.settle import job_settle
from tests.conformance.callers import Caller, caller_of
from tests.conformance.working import work
from tests.support.database import misplaced, query

NewApp = Callable[..., Dibs]
AT_ONCE = Retry(max_attempts=3, backoff=Backoff.fixed(0))
ROW = "INSERT INTO charges VALUES (1)"


@pytest.fixture
def app(new_app: NewApp, database_url: str) -> Dibs:
    app = new_app()
    app.migrate()
    query(database_url, "CREATE TABLE charges (id INTEGER)")
    return app


@pytest.fixture
def sync_kind(database_url: str) -> str:
    return "sqlite3" if database_url.startswith("sqlite") else "psycopg"


def charges(url: str) -> int:
    return query(url, "SELECT COUNT(*) FROM charges")[0][0]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


Body = Callable[[JobContext, Caller], Any]


def declare(app: Dibs, url: str, kind: str, body: Body) -> Any:
    """Declare a handler that runs `body` in a transaction of its own connection."""

    @app.job(retry=AT_ONCE)
    def charge(ctx: JobContext) -> Any:
        with caller_of(kind, url, None) as caller:
            caller.begin()
            return body(ctx, caller)

    return charge


class TestOnce:
    def test_a_block_runs_once_over_all_attempts(
        self, app: Dibs, database_url: str, sync_kind: str
    ):
        results = []

        def body(ctx: JobContext, caller: Caller) -> None:
            with ctx.once("charge", caller.connection) as charge:
                if charge:
                    caller.execute(ROW)
                    charge.result = {"receipt": ctx.attempt}
            caller.commit()
            results.append((bool(charge), charge.result))
            if ctx.attempt < 3:
                raise ValueError("after the commit")

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert results == [(True, {"receipt": 1})] + [(False, {"receipt": 1})] * 2
        assert (charges(database_url), app.jobs.get(job.id).state) == (1, State.COMPLETED)

    @pytest.mark.parametrize(
        "how", ["rollback", "raise", "raise and commit", "bad result and commit"]
    )
    def test_a_block_that_fails_runs_again(
        self, app: Dibs, database_url: str, sync_kind: str, how: str
    ):
        def body(ctx: JobContext, caller: Caller) -> None:
            try:
                with ctx.once("charge", caller.connection) as charge:
                    assert charge.first
                    if ctx.attempt == 1 and "raise" in how:
                        int("within the block")
                    if ctx.attempt == 1 and "result" in how:
                        charge.result = object()
                    else:
                        caller.execute(ROW)
            except (ValueError, InvalidJobError):
                caller.commit() if "commit" in how else caller.rollback()
                raise
            if ctx.attempt == 1:
                caller.rollback()
                raise ValueError("never committed")
            caller.commit()

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert charges(database_url) == 1
        assert (app.jobs.get(job.id).attempt, app.jobs.get(job.id).state) == (2, State.COMPLETED)

    def test_an_error_of_the_database_in_the_block_is_the_one_that_is_told(
        self, app: Dibs, database_url: str, sync_kind: str
    ):
        def body(ctx: JobContext, caller: Caller) -> None:
            with ctx.once("charge", caller.connection):
                caller.execute("INSERT INTO nowhere VALUES (1)")

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert "nowhere" in (app.jobs.get(job.id).error or "")
        assert query(database_url, "SELECT * FROM dibs_effects") == []

    def test_blocks_have_names_of_their_own_in_each_job(
        self, app: Dibs, database_url: str, sync_kind: str
    ):
        def body(ctx: JobContext, caller: Caller) -> None:
            for name in ("charge", "mail", "charge"):
                with ctx.once(name, caller.connection) as effect:
                    if effect:
                        caller.execute(ROW)
            caller.commit()

        charge = declare(app, database_url, sync_kind, body)
        app.enqueue_many([charge.request(), charge.request()])
        work(app)
        assert charges(database_url) == 4

    def test_an_attempt_that_lost_its_claim_does_nothing(
        self, app: Dibs, database_url: str, sync_kind: str
    ):
        refused = []

        def body(ctx: JobContext, caller: Caller) -> None:
            if not refused:
                lose(app, ctx)
                for attempt in (
                    lambda: ctx.once("charge", caller.connection).__enter__(),
                    lambda: ctx.complete_in(caller.connection),
                ):
                    with pytest.raises(ClaimLostError, match=f"job {ctx.job_id} no longer"):
                        attempt()
                    refused.append(ctx.job_id)
            else:
                with ctx.once("charge", caller.connection) as charge:
                    assert charge.first
                    caller.execute(ROW)
            caller.commit()

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert refused == [job.id] * 2
        assert charges(database_url) == 1

    def test_the_claim_of_another_worker_is_not_its_own(
        self, app: Dibs, database_url: str, sync_kind: str
    ):
        def body(ctx: JobContext, caller: Caller) -> None:
            query(database_url, "UPDATE dibs_running SET worker = 'of this database'")
            with pytest.raises(ClaimLostError):
                ctx.once("charge", caller.connection).__enter__()
            with pytest.raises(ClaimLostError):
                ctx.complete_in(caller.connection)

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        found = app.jobs.get(job.id)
        assert (found.state, found.worker) == (State.RUNNING, "of this database")

    def test_in_async_code(self, app: Dibs, database_url: str):
        @app.job(retry=AT_ONCE)
        async def charge(ctx: JobContext) -> None:
            async with await connect(database_url) as connection:
                try:
                    async with ctx.once("charge", connection) as charge:
                        if ctx.attempt == 1:
                            charge.result = object()
                        elif charge:
                            await connection.execute(ROW)
                except InvalidJobError:
                    await connection.commit()
                    raise
                if ctx.attempt < 3:
                    await connection.commit()
                    raise ValueError("again")
                await ctx.acomplete_in(connection, result=ctx.attempt)
                await connection.commit()

        job = charge.enqueue()
        work(app)
        ended = app.jobs.get(job.id)
        assert (ended.state, ended.result, charges(database_url)) == (State.COMPLETED, 3, 1)


def connect(url: str) -> Any:
    if url.startswith("sqlite"):
        return completed(aiosqlite.connect(url.removeprefix("sqlite:///")))
    return psycopg.AsyncConnection.connect(url)


async def completed(value: Any) -> Any:
    return value


def lose(app: Dibs, ctx: JobContext) -> None:
    """Take the job from the attempt, as a rescue does."""
    claim = Claim(ctx.job_id, 1, ctx.worker, 1, 3)
    end = settle(claim, Interrupted(began=True), AT_ONCE, None)  # type: ignore[arg-type]
    assert app.store.run(job_settle([end])).moved == {ctx.job_id}


class TestCompleteIn:
    def test_the_row_and_the_end_are_one_commit(
        self, app: Dibs, database_url: str, sync_kind: str, caplog: pytest.LogCaptureFixture
    ):
        def body(ctx: JobContext, caller: Caller) -> str:
            caller.execute(ROW)
            ctx.complete_in(caller.connection, result={"n": 1})
            assert app.jobs.get(ctx.job_id).state is State.RUNNING
            caller.commit()
            assert app.jobs.get(ctx.job_id).state is State.COMPLETED
            return "ignored"

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert app.jobs.get(job.id).result == {"n": 1}
        assert charges(database_url) == 1
        assert warnings(caplog) == []
        assert misplaced(database_url) == []

    @pytest.mark.parametrize("end", ["return", "raise"])
    def test_a_rollback_leaves_the_end_to_the_handler(
        self, app: Dibs, database_url: str, sync_kind: str, end: str
    ):
        def body(ctx: JobContext, caller: Caller) -> str:
            caller.execute(ROW)
            ctx.complete_in(caller.connection, result="never")
            if ctx.attempt == 1:
                caller.rollback()
                if end == "raise":
                    raise ValueError("rolled back")
                return "returned"
            caller.commit()
            return ""

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        ended = app.jobs.get(job.id)
        expected = (1, "returned", 0) if end == "return" else (2, "never", 1)
        assert (ended.attempt, ended.result, charges(database_url)) == expected
        assert ended.state is State.COMPLETED

    def test_an_error_after_it_changes_nothing_and_is_told(
        self, app: Dibs, database_url: str, sync_kind: str, caplog: pytest.LogCaptureFixture
    ):
        def body(ctx: JobContext, caller: Caller) -> None:
            ctx.complete_in(caller.connection)
            caller.commit()
            raise ValueError("too late")

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert app.jobs.get(job.id).state is State.COMPLETED
        assert warnings(caplog) == [
            f"job {job.id} was completed by its handler before its attempt ended: retry"
        ]

    def test_what_is_no_json_is_refused(self, app: Dibs, database_url: str, sync_kind: str):
        def body(ctx: JobContext, caller: Caller) -> None:
            with pytest.raises(InvalidJobError, match="JSON"):
                ctx.complete_in(caller.connection, result=object())

        job = declare(app, database_url, sync_kind, body).enqueue()
        work(app)
        assert app.jobs.get(job.id).state is State.COMPLETED


def test_a_connection_without_a_transaction_is_refused(
    app: Dibs, database_url: str, sync_kind: str
):
    @app.job
    def charge(ctx: JobContext) -> None:
        with caller_of(f"{sync_kind} explicit", database_url, None) as caller:
            for attempt in (
                lambda: ctx.once("charge", caller.connection).__enter__(),
                lambda: ctx.complete_in(caller.connection),
            ):
                with pytest.raises(ConfigurationError, match="with a transaction open"):
                    attempt()

    job = charge.enqueue()
    work(app)
    assert app.jobs.get(job.id).state is State.COMPLETED


def test_a_context_made_by_hand_owns_no_job():
    ctx = JobContext(
        job_id=1, kind="x", queue="q", priority=0, attempt=1, max_attempts=1, worker="w"
    )
    with pytest.raises(DibsError, match="made by hand"):
        ctx.once("charge", object())
    with pytest.raises(DibsError, match="made by hand"):
        asyncio.run(ctx.acomplete_in(object()))
