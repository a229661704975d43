"""What becomes of an attempt that takes too long, wherever its handler runs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import (
    AttemptOutcome,
    Backoff,
    DeadReason,
    Dibs,
    JobContext,
    Retry,
    State,
    StopRequestedError,
)
from dibs.worker import processes
from tests.conformance.working import logged, work, working
from tests.support import child_handlers
from tests.support.command import is_alive
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
NO_PAUSE = Backoff.exponential(base=0)
SHORT = 0.05
"""Seconds: a limit that is exceeded."""


class TestAsync:
    def test_is_cancelled_and_the_attempt_failed(self, new_app: NewApp, mode: str):
        app = new_app()
        seen = []

        @app.job(timeout=SHORT, max_attempts=2, retry=Retry(backoff=NO_PAUSE))
        async def forever(ctx: JobContext) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(ctx.cancel_reason)
                raise

        job = forever.enqueue()
        work(app, mode)
        assert seen == ["it took longer than its timeout of 0.05 s"] * 2
        dead = app.jobs.get(job.id)
        assert (dead.state, dead.reason, dead.attempt) == (State.DEAD, DeadReason.TIMEOUT, 2)
        assert dead.error == "it took longer than its timeout of 0.05 s"
        for record in app.jobs.attempts(job.id):
            assert (record.outcome, record.error_type) == (
                AttemptOutcome.TIMED_OUT,
                "JobTimeoutError",
            )
            assert "in forever" in (record.traceback or "")  # where it was

    def test_what_it_returns_in_spite_of_it_counts(self, new_app: NewApp):
        app = new_app()

        @app.job(timeout=SHORT, max_attempts=1)
        async def careful() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "done"
            return "never"

        job = careful.enqueue()
        work(app)
        assert (app.jobs.get(job.id).state, app.jobs.get(job.id).result) == ("completed", "done")

    def test_one_that_refuses_is_left_behind_and_counted(
        self, new_app: NewApp, caplog: pytest.LogCaptureFixture
    ):
        app = new_app(heartbeat=0.05, lease=30)
        go = threading.Event()

        @app.job(timeout=SHORT, max_attempts=1)
        async def stubborn() -> None:
            while not go.is_set():
                try:
                    await asyncio.sleep(0.01)  # until it is let go
                except asyncio.CancelledError:
                    continue

        job = stubborn.enqueue()
        next_one = app.job(lambda: "ran", kind="next").using(priority=-1).enqueue()
        with working(app, concurrency=1):
            eventually(lambda: app.jobs.get(next_one.id).result == "ran", "its slot to come free")
            assert app.jobs.get(job.id).reason == DeadReason.TIMEOUT
            eventually(lambda: app.stats().workers[0].leaked == 1, "it to be counted")
            [left] = logged(caplog, "handler_left_behind")
            assert left == {"job_id": job.id, "kind": "stubborn", "leaked": 1}
            caplog.set_level("INFO", "dibs")
            go.set()
            eventually(lambda: app.stats().workers[0].leaked == 0, "it to be forgotten")
        assert [event["job_id"] for event in logged(caplog, "handler_came_back")] == [job.id]


class TestThread:
    def test_is_told_and_left_behind_and_its_late_result_dropped(
        self, new_app: NewApp, mode: str, caplog: pytest.LogCaptureFixture
    ):
        app = new_app(heartbeat=0.05, lease=30)
        go, told = threading.Event(), []

        @app.job(timeout=SHORT, max_attempts=1)
        def slow(ctx: JobContext) -> str:
            assert go.wait(WITHIN)
            told.append((ctx.cancelled, ctx.cancel_reason))
            return "too late"

        job = slow.enqueue()
        with working(app, mode, concurrency=1):
            eventually(lambda: app.jobs.get(job.id).state is State.DEAD, "its time to be up")
            eventually(lambda: app.stats().workers[0].leaked == 1, "it to be counted")
            caplog.set_level("INFO", "dibs")
            go.set()
            eventually(lambda: app.stats().workers[0].leaked == 0, "it to come back")
        dead = app.jobs.get(job.id)
        assert (dead.reason, dead.result) == (DeadReason.TIMEOUT, None)
        assert told == [(True, "it took longer than its timeout of 0.05 s")]
        [back] = logged(caplog, "handler_came_back")
        assert (back["job_id"], back["returned"]) == (job.id, True)

    def test_leaves_when_it_asks(self, new_app: NewApp):
        app = new_app()
        raised = []

        @app.job(timeout=SHORT, max_attempts=1)
        def polite(ctx: JobContext) -> None:
            assert not ctx.cancelled
            while True:
                try:
                    ctx.raise_if_cancelled()
                except StopRequestedError as error:
                    raised.append(error.reason)
                    raise
                time.sleep(0.005)  # the work

        job = polite.enqueue()
        with working(app):
            eventually(lambda: raised, "the handler to leave")
            eventually(lambda: app.jobs.get(job.id).state is State.DEAD, "the job's end")
        assert app.jobs.get(job.id).reason == DeadReason.TIMEOUT

    def test_the_pool_keeps_its_size(self, new_app: NewApp):
        app = new_app()
        go, meeting = threading.Event(), threading.Barrier(2)

        @app.job(timeout=SHORT, max_attempts=1)
        def slow() -> None:
            go.wait(WITHIN)

        @app.job(priority=-1)
        def meet() -> None:
            meeting.wait(WITHIN)  # passed only by two at once

        first = [slow.enqueue() for _ in range(2)]
        second = [meet.enqueue() for _ in range(4)]
        with working(app, concurrency=2):
            eventually(
                lambda: all(app.jobs.get(job.id).state is State.COMPLETED for job in second),
                "two at once, in spite of two that were left behind",
            )
            go.set()
        assert {app.jobs.get(job.id).state for job in first} == {State.DEAD}


class TestProcess:
    @pytest.mark.parametrize("how", ["hang", "ignore_signals"])
    def test_is_killed_and_the_next_job_gets_a_fresh_child(
        self,
        new_app: NewApp,
        mode: str,
        tmp_path: Path,
        how: str,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(processes, "TERM_SECONDS", 0.2)
        app = new_app()
        hang = child_handlers.declare(
            app, getattr(child_handlers, how), max_attempts=1, timeout=0.5
        )
        where = child_handlers.declare(app, child_handlers.where_am_i)
        first = where.enqueue(word="first")  # so that the child is up before its time is
        job, next_one = hang.enqueue(path=str(tmp_path / "pid")), where.enqueue(word="next")
        work(app, mode, concurrency=1)
        dead = app.jobs.get(job.id)
        assert (dead.state, dead.reason) == (State.DEAD, DeadReason.TIMEOUT)
        [record] = app.jobs.attempts(job.id)
        assert record.outcome is AttemptOutcome.TIMED_OUT
        pid = int((tmp_path / "pid").read_text())
        assert app.jobs.get(first.id).result["pid"] == pid
        assert not is_alive(pid)
        assert app.jobs.get(next_one.id).result["pid"] != pid


class TestWhoseWordCounts:
    @pytest.mark.parametrize("who", ["call", "kind", "queue declared", "queue configured"])
    def test_each_may_say_it(self, new_app: NewApp, mode: str, who: str):
        app = new_app()
        kind = SHORT if who == "kind" else None
        said = {} if kind is None else {"timeout": kind}

        @app.job(queue="slow", max_attempts=1, **said)
        async def forever() -> None:
            await asyncio.Event().wait()

        if who == "queue declared":
            app.queues.declare("slow", timeout=SHORT)
        if who == "queue configured":
            app.queues.configure("slow", timeout=SHORT)
        job = (forever.using(timeout=SHORT) if who == "call" else forever).enqueue()
        work(app, mode)
        assert app.jobs.get(job.id).reason == DeadReason.TIMEOUT

    @pytest.mark.parametrize("above", ["kind", "queue"])
    def test_none_lifts_what_stands_behind_it(self, new_app: NewApp, above: str):
        app = new_app()
        said = {"timeout": SHORT} if above == "kind" else {}

        @app.job(**said)
        async def slow() -> str:
            await asyncio.sleep(4 * SHORT)  # longer than the limit that is lifted
            return "done"

        app.queues.configure("default", timeout=SHORT)
        job = slow.using(timeout=None).enqueue()
        work(app)
        assert app.jobs.get(job.id).result == "done"


class TestRetrying:
    @pytest.mark.parametrize(
        ("rules", "attempts", "reason"),
        [
            (Retry(retry_on=[TimeoutError], backoff=NO_PAUSE), 3, DeadReason.TIMEOUT),
            (Retry(retry_on=[ValueError], backoff=NO_PAUSE), 1, DeadReason.GAVE_UP),
            (Retry(give_up_on=[TimeoutError], backoff=NO_PAUSE), 1, DeadReason.GAVE_UP),
        ],
    )
    def test_for_the_rules_it_is_a_timeout_error(
        self, new_app: NewApp, rules: Retry, attempts: int, reason: DeadReason
    ):
        app = new_app()

        @app.job(timeout=SHORT, max_attempts=3, retry=rules)
        async def forever() -> None:
            await asyncio.Event().wait()

        job = forever.enqueue()
        work(app)
        assert (app.jobs.get(job.id).attempt, app.jobs.get(job.id).reason) == (attempts, reason)

    def test_a_timeout_error_of_the_handler_s_own_is_an_ordinary_failure(self, new_app: NewApp):
        app = new_app()

        @app.job(timeout=60, max_attempts=1)
        async def impatient() -> None:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

        job = impatient.enqueue()
        work(app)
        assert app.jobs.get(job.id).reason == DeadReason.ATTEMPTS_EXHAUSTED
        [record] = app.jobs.attempts(job.id)
        assert (record.outcome, record.error_type) == (AttemptOutcome.FAILED, "TimeoutError")
