"""What a worker does with one job: run it where it belongs, and store what it returned."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from dibs import Cancel, Dibs, JobContext, Snooze, State
from tests.conformance.working import declare, work
from tests.support import child_handlers
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]
HOSTS = ("async", "thread", "process")


class TestExecutors:
    def test_all_three_in_one_worker(self, new_app: NewApp, mode: str):
        app = new_app()

        @app.job
        async def on_the_loop(n: int) -> list[Any]:
            asyncio.get_running_loop()
            return [n, os.getpid(), threading.get_ident()]

        @app.job
        def in_a_thread(n: int) -> list[Any]:
            return [n, os.getpid(), threading.get_ident()]

        in_a_child = child_handlers.declare(app, child_handlers.where_am_i)
        jobs = [on_the_loop.enqueue(1), in_a_thread.enqueue(2), in_a_child.enqueue(word="three")]
        work(app, mode)
        loop, thread, child = [app.jobs.get(job.id) for job in jobs]
        assert {loop.state, thread.state, child.state} == {State.COMPLETED}
        here = [os.getpid(), threading.get_ident()]
        assert loop.result == [1, *here]
        assert thread.result[:2] == [2, here[0]]
        assert thread.result[2] != here[1]
        assert child.result["word"] == "three"
        assert child.result["parent"] == os.getpid() != child.result["pid"]

    def test_children_are_used_again_and_end_with_the_worker(self, new_app: NewApp):
        app = new_app()
        where = child_handlers.declare(app, child_handlers.where_am_i)
        jobs = [where.enqueue(word=str(n)) for n in range(4)]
        work(app, concurrency=1)
        pids = {app.jobs.get(job.id).result["pid"] for job in jobs}
        assert len(pids) == 1
        assert not psutil.pid_exists(pids.pop())

    def test_a_child_that_died_idle_costs_nobody_an_attempt(self, new_app: NewApp):
        app = new_app()
        where = child_handlers.declare(app, child_handlers.where_am_i)
        first, second = where.enqueue(word="one"), where.using(priority=-2).enqueue(word="two")

        @app.job(priority=-1)
        def assassin() -> None:
            victim = psutil.Process(app.jobs.get(first.id).result["pid"])
            victim.kill()
            eventually(lambda: victim.status() == psutil.STATUS_ZOMBIE, "the child's death")

        assassin.enqueue()
        work(app, concurrency=1)
        job = app.jobs.get(second.id)
        assert (job.state, job.attempt, job.error) == (State.COMPLETED, 1, None)

    def test_a_child_that_dies_fails_only_its_job(self, new_app: NewApp):
        app = new_app()
        exits = child_handlers.declare(app, child_handlers.exit_with, max_attempts=1)
        shot = child_handlers.declare(app, child_handlers.shoot_self, max_attempts=1)
        where = child_handlers.declare(app, child_handlers.where_am_i)
        dead = [exits.enqueue(code=3), shot.enqueue()]
        fine = [where.enqueue(word=str(n)) for n in range(3)]
        work(app)
        three, killed = [app.jobs.get(job.id) for job in dead]
        assert three.state is killed.state is State.DEAD
        assert "exit code 3" in (three.error or "")
        assert "SIGKILL" in (killed.error or "")
        assert {app.jobs.get(job.id).state for job in fine} == {State.COMPLETED}

    def test_a_child_that_cannot_be_heard_any_more_is_killed(self, new_app: NewApp):
        app = new_app()
        closes = child_handlers.declare(app, child_handlers.close_all_files, max_attempts=1)
        job = closes.enqueue()
        work(app)
        assert "SIGKILL" in (app.jobs.get(job.id).error or "")


class TestResults:
    @pytest.mark.parametrize(
        "result", [None, 0, "", "ünïcode 🎈 \x00 '", [1, {"a": [None, True]}], {"n": 2**53}, 1.5]
    )
    def test_stored_as_json(self, new_app: NewApp, result: Any):
        app = new_app()
        job = app.job(lambda: result, kind="give").enqueue()
        work(app)
        assert (app.jobs.get(job.id).state, app.jobs.get(job.id).result) == ("completed", result)

    def test_what_json_cannot_hold_does_not_repeat_the_work(self, new_app: NewApp):
        app = new_app()
        ran = []

        @app.job
        def odd() -> object:
            ran.append(1)
            return object()

        job = odd.enqueue()
        work(app)
        assert app.jobs.get(job.id).state is State.COMPLETED
        assert app.jobs.get(job.id).result is None
        assert ran == [1]


class TestReturns:
    @pytest.mark.parametrize("host", HOSTS)
    def test_snooze_and_cancel(self, new_app: NewApp, host: str):
        app = new_app()
        if host == "process":
            leave = child_handlers.declare(app, child_handlers.leave)
        else:

            def leave(how: str) -> Any:
                return Snooze(3600) if how == "snooze" else Cancel("not wanted")

            leave = declare(app, host, leave)
        jobs = leave.enqueue(how="snooze"), leave.enqueue(how="cancel")
        work(app)
        snoozed, cancelled = [app.jobs.get(job.id) for job in jobs]
        assert (snoozed.state, snoozed.attempt, snoozed.error) == (State.SCHEDULED, 0, None)
        assert 3590 < (snoozed.scheduled_at - jobs[0].created_at).total_seconds() < 3630
        assert (cancelled.state, cancelled.reason) == (State.CANCELLED, "not wanted")
        assert [record.outcome for record in app.jobs.attempts(snoozed.id)] == ["snoozed"]

    def test_a_snooze_of_nothing_runs_again_at_once(self, new_app: NewApp, mode: str):
        app = new_app()
        runs = []

        @app.job
        async def twice(ctx: JobContext) -> Snooze | None:
            runs.append(ctx.attempt)
            return Snooze(0) if len(runs) == 1 else None

        job = twice.enqueue()
        work(app, mode)
        assert runs == [1, 1]
        assert app.jobs.get(job.id).state is State.COMPLETED


class TestContext:
    @pytest.mark.parametrize("host", ["async", "thread"])
    def test_the_fields_of_the_job_context(self, new_app: NewApp, host: str):
        app = new_app()
        seen: list[JobContext] = []

        def look(ctx: JobContext) -> None:
            seen.append(ctx)

        handler = declare(app, host, look, queue="mail", priority=7, max_attempts=3)
        job = handler.enqueue()
        worker = work(app)
        (ctx,) = seen
        assert (ctx.job_id, ctx.kind, ctx.queue, ctx.priority) == (job.id, "look", "mail", 7)
        assert (ctx.attempt, ctx.max_attempts, ctx.worker) == (1, 3, worker.id)

    @pytest.mark.parametrize("host", ["async", "thread"])
    @pytest.mark.parametrize("concurrency", [1, 3])
    def test_context_variables_stay_with_their_job(
        self, new_app: NewApp, host: str, concurrency: int
    ):
        app = new_app()
        tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")
        seen = []

        def enter(n: int) -> None:
            seen.append(tenant.get())
            tenant.set(f"tenant {n}")

        handler = declare(app, host, enter)
        app.enqueue_many(handler.request(n=n) for n in range(30))
        work(app, concurrency=concurrency)
        assert seen == ["none"] * 30
