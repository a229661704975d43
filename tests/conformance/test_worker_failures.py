"""What a worker does with jobs that fail: try them again, and bury them with a record of it all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dibs import AttemptOutcome, Backoff, DeadReason, Dibs, Job, JobContext, Retry, State
from tests.conformance.working import declare, work
from tests.support import child_handlers

NewApp = Callable[..., Dibs]
AT_ONCE = Retry(backoff=Backoff.fixed(0))


def int_only(n: int) -> None: ...


class TestFailures:
    def test_retried_and_buried_with_a_record_of_every_attempt(self, new_app: NewApp, mode: str):
        app = new_app()
        seen = []

        @app.job(max_attempts=3, retry=AT_ONCE)
        def fail(ctx: JobContext) -> None:
            seen.append(ctx.attempt)
            raise ValueError(f"number {ctx.attempt}")

        job = fail.enqueue()
        worker = work(app, mode)
        dead = app.jobs.get(job.id)
        assert seen == [1, 2, 3]
        assert (dead.state, dead.reason) == (State.DEAD, DeadReason.ATTEMPTS_EXHAUSTED)
        assert (dead.attempt, dead.crashes, dead.error) == (3, 0, "number 3")
        records = app.jobs.attempts(job.id)
        assert [record.attempt for record in records] == [1, 2, 3]
        assert [record.error for record in records] == ["number 1", "number 2", "number 3"]
        for record in records:
            assert (record.worker, record.error_type) == (worker.id, "ValueError")
            assert record.outcome is AttemptOutcome.FAILED
            assert record.finished_at is not None
            assert record.started_at <= record.finished_at
            assert "in fail" in (record.traceback or "")
        assert app.stats().failed_attempts == 2  # the third one is counted as the death
        assert app.stats().states[State.DEAD] == 1

    def test_waits_for_its_backoff(self, new_app: NewApp):
        app = new_app()

        @app.job(retry=Retry(backoff=Backoff.exponential(base=3600, jitter=0)))
        async def fail() -> None:
            raise ValueError("no")

        job = fail.enqueue()
        work(app)
        waiting = app.jobs.get(job.id)
        assert (waiting.state, waiting.attempt, waiting.error) == (State.SCHEDULED, 1, "no")
        assert 3590 < (waiting.scheduled_at - job.created_at).total_seconds() < 3630

    def test_succeeds_in_the_end(self, new_app: NewApp):
        app = new_app()

        @app.job(max_attempts=3, retry=AT_ONCE)
        def flaky(ctx: JobContext) -> int:
            if ctx.attempt < 3:
                raise ValueError("not yet")
            return ctx.attempt

        job = flaky.enqueue()
        work(app)
        done = app.jobs.get(job.id)
        assert (done.state, done.attempt, done.result) == (State.COMPLETED, 3, 3)
        assert [(record.attempt, record.outcome) for record in app.jobs.attempts(job.id)] == [
            (1, "failed"), (2, "failed"), (3, "completed")
        ]  # fmt: skip

    def test_args_that_no_longer_fit_are_buried_at_once(self, new_app: NewApp, mode: str):
        old, new = new_app(), new_app()
        ran = []

        def greet(name: str) -> None: ...

        def greeting(name: int) -> None:
            ran.append(name)

        old_job = old.job(greet).enqueue("ada")
        new.job(greeting, kind="greet", max_attempts=5)
        work(new, mode)
        job: Job = new.jobs.get(old_job.id)
        assert (job.state, job.reason) == (State.DEAD, DeadReason.INVALID_ARGS)
        assert job.attempt == 1
        assert "name" in (job.error or "")
        assert len(new.jobs.attempts(job.id)) == 1
        assert ran == []

    def test_an_enqueue_with_bad_args_inside_a_handler_is_its_failure(self, new_app: NewApp):
        app = new_app()
        other = app.job(int_only)

        @app.job(max_attempts=2, retry=AT_ONCE)
        def outer() -> None:
            other.enqueue("x")  # type: ignore[arg-type]

        job = outer.enqueue()
        work(app)
        dead = app.jobs.get(job.id)
        assert (dead.attempt, dead.reason) == (2, DeadReason.ATTEMPTS_EXHAUSTED)

    @pytest.mark.parametrize(
        ("host", "error"),
        [
            ("process", SystemExit), ("thread", SystemExit), ("async", SystemExit),
            ("thread", KeyboardInterrupt), ("async", KeyboardInterrupt), ("async", GeneratorExit),
        ],
    )  # fmt: skip
    def test_what_would_end_a_program_ends_only_the_job(
        self, new_app: NewApp, host: str, error: type[BaseException]
    ):
        app = new_app()
        if host == "process":
            leave = child_handlers.declare(app, child_handlers.leave, max_attempts=1)
        else:

            def leave(how: str) -> None:
                raise error("bye")

            leave = declare(app, host, leave, max_attempts=1)
        fine = app.job(lambda: 1, kind="fine").using(priority=-1).enqueue()
        job = leave.enqueue(how="exit")
        work(app, concurrency=1)
        assert (app.jobs.get(job.id).state, app.jobs.get(job.id).error) == (State.DEAD, "bye")
        assert app.jobs.get(fine.id).state is State.COMPLETED

    def test_a_child_that_closes_its_pipe_and_goes_on_is_killed(self, new_app: NewApp):
        app = new_app()
        close_all = child_handlers.declare(app, child_handlers.close_all, max_attempts=1)
        job = close_all.enqueue()
        work(app)
        assert app.jobs.get(job.id).state is State.DEAD
        assert "SIGKILL" in (app.jobs.get(job.id).error or "")

    def test_a_handler_that_cancels_itself_fails(self, new_app: NewApp):
        app = new_app()

        @app.job(max_attempts=1)
        async def cancelled() -> None:
            raise asyncio.CancelledError("by itself")

        job = cancelled.enqueue()
        work(app)
        assert app.jobs.get(job.id).state is State.DEAD

    def test_an_error_that_no_database_text_can_hold(self, new_app: NewApp):
        app = new_app()

        @app.job(max_attempts=1)
        def fail() -> None:
            raise ValueError("nul \x00 and surrogate \ud800")

        job = fail.enqueue()
        work(app)
        assert "nul" in (app.jobs.get(job.id).error or "")
