"""Jobs completed by transactions that are still open: whom they hold up, and whom not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TypeVar, cast

import pytest

from dibs import Dibs, JobContext, Retry, State
from dibs.client.effects import Effects
from dibs.client.stopping import StopSignal
from dibs.model.lifecycle import Claim, Interrupted, settle
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from dibs.store.ops.settle import job_settle, job_unmoved
from dibs.store.statement import Operation, Steps
from tests.conformance.callers import Caller, caller_of
from tests.conformance.working import logged, work, working
from tests.support.database import misplaced
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
R = TypeVar("R")


@dataclass
class Database:
    """The database under test, and whether two transactions can have written in it at once."""

    url: str

    @property
    def locks_rows(self) -> bool:
        return not self.url.startswith("sqlite")

    @contextmanager
    def transaction(self) -> Iterator[Caller]:
        with caller_of("psycopg" if self.locks_rows else "sqlite3", self.url, None) as caller:
            caller.begin()
            if self.locks_rows:  # a defect is to fail here, and not to stop the test
                caller.execute("SET lock_timeout = '5s'")
            yield caller


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def test_completions_that_are_open_do_not_wait_for_each_other(
    new_app: NewApp, database: Database, caplog: pytest.LogCaptureFixture
):
    app = new_app()
    app.migrate()
    both_open = asyncio.Barrier(2)

    @app.job(retry=Retry(max_attempts=1))
    async def charge(ctx: JobContext) -> None:
        with database.transaction() as caller:
            ctx.complete_in(caller.connection)
            if database.locks_rows:
                async with asyncio.timeout(WITHIN):
                    await both_open.wait()
            caller.commit()

    @app.job
    def plain() -> None: ...

    ids = app.enqueue_many([charge.request(), charge.request()])
    plain.enqueue()
    work(app, concurrency=3)
    assert [app.jobs.get(id_).state for id_ in ids] == [State.COMPLETED] * 2
    assert logged(caplog, "settle_refused") == []
    counted = {kind.name: kind.states[State.COMPLETED] for kind in app.stats().kinds}
    assert counted == {"charge": 2, "plain": 1}


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_one_that_hangs_does_not_hold_up_the_others(
    new_app: NewApp, database: Database, caplog: pytest.LogCaptureFixture, commits: bool
):
    app = new_app()
    app.migrate()
    opened, release = threading.Event(), threading.Event()

    @app.job(timeout=0.1, retry=Retry(max_attempts=1))
    def hang(ctx: JobContext) -> None:
        with database.transaction() as caller:
            ctx.complete_in(caller.connection)
            opened.set()
            release.wait(WITHIN)
            caller.commit() if commits else caller.rollback()
        raise ValueError("too late")

    @app.job
    def plain() -> None: ...

    job = hang.enqueue()
    with working(app, concurrency=2):
        assert opened.wait(WITHIN)
        if database.locks_rows:
            eventually(lambda: logged(caplog, "handler_left_behind"), "its time to be up")
            ids = [plain.enqueue().id for _ in range(3)]
            for id_ in ids:
                eventually(lambda id_=id_: app.jobs.get(id_).state is State.COMPLETED, "the others")
            assert app.jobs.get(job.id).state is State.RUNNING
        release.set()
        end = State.COMPLETED if commits else State.DEAD
        eventually(lambda: app.jobs.get(job.id).state is end, "its end")
    assert logged(caplog, "settle_refused") == logged(caplog, "settle_stuck") == []
    counted = {kind.name: kind.states[State.COMPLETED] for kind in app.stats().kinds}
    assert counted.get("hang", 0) == commits
    assert misplaced(database.url) == []


@pytest.mark.parametrize("asked", [True, False], ids=["asked to cancel", "not asked"])
def test_what_was_locked_is_not_taken_for_cancelled(
    new_app: NewApp, database: Database, asked: bool
):
    """The row is free again when the rest of a batch is looked through for what is cancelled."""
    app = new_app()

    @app.job
    def charge() -> None: ...

    job = charge.enqueue()
    held = claim(app)
    if asked:
        app.jobs.cancel(job.id)
    again = settle(held, Interrupted(began=True), Retry(), Random(0))
    settling = job_settle([again])
    with database.transaction() as caller:
        runner, complete = Effects(held, app.runner_for, {}, StopSignal()).complete(
            caller.connection, None
        )
        runner.run(complete)
        if database.locks_rows:
            moved = app.store.run(with_a_break(settling, caller.rollback)).moved
            assert moved == ({job.id} if asked else set())
            running = set() if moved else {(job.id, held.worker, held.number)}
            assert app.store.run(job_unmoved([job.id])).running == running
        else:
            caller.rollback()
    app.store.run(settling)
    assert app.jobs.get(job.id).state is (State.CANCELLED if asked else State.READY)


def with_a_break(operation: Operation[R], pause: Callable[[], object]) -> Operation[R]:
    """Have `pause` called after the first statement of `operation`."""

    def steps() -> Steps[R]:
        inner = operation.steps()
        rows = yield next(inner)
        pause()
        while True:
            try:
                statement = inner.send(rows)
            except StopIteration as end:
                return cast("R", end.value)
            rows = yield statement

    return Operation(operation.name, steps)


def claim(app: Dibs) -> Claim:
    [job] = app.store.run(job_claim("w", Serving(("default",)), ["charge"], Demand(1))).jobs
    return job.ticket
