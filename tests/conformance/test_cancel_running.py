"""Cancelling a job that runs: from anywhere, seen by its worker within a second."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dibs import AttemptOutcome, Backoff, Dibs, Job, JobContext, JobStateError, Retry, Snooze, State
from dibs.model.job import DeadReason
from dibs.model.lifecycle import Finish, Settlement
from dibs.model.lines import Demand, Serving
from dibs.services import cancels
from dibs.store.ops.claim import job_claim
from dibs.store.ops.workers import job_rescue, worker_beat
from tests.conformance.face import Face
from tests.conformance.working import logged, working
from tests.support import child_handlers
from tests.support.command import is_alive
from tests.support.database import misplaced
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
LEASE = 30_000_000
AT_ONCE = Retry(backoff=Backoff.exponential(base=0))


def running(app: Dibs, job: Job) -> bool:
    return app.jobs.get(job.id).state is State.RUNNING


def ended(app: Dibs, job: Job) -> Job:
    """Wait for a job's end."""
    eventually(lambda: app.jobs.get(job.id).finished_at, f"the end of job {job.id}")
    return app.jobs.get(job.id)


def claim(app: Dibs, worker: str = "w") -> None:
    """Have a worker that never answers take what is ready."""
    kinds = list(app.handlers)
    assert app.store.run(job_claim(worker, Serving(("default",)), kinds, Demand(10))).jobs


def rescue(app: Dibs, max_crashes: int) -> list[Settlement]:
    """Have a worker that lives take the jobs of those that do not."""
    app.store.run(worker_beat("alive", Serving(("default",)), [], 1, {}, LEASE))
    return app.store.run(job_rescue(max_crashes, LEASE))


class TestAsking:
    def test_says_that_it_is_to_be_cancelled_and_why(self, face: Face):
        job = face.target.job(lambda: None, kind="any").enqueue()
        claim(face.target)
        asked = face.jobs.cancel(job.id, "sold out")
        assert (asked.state, asked.cancelling, asked.reason) == (State.RUNNING, True, "sold out")
        assert face.jobs.get(job.id) == asked
        again = face.jobs.cancel(job.id)
        assert (again.cancelling, again.reason) == (True, "sold out")
        assert face.jobs.cancel(job.id, "closed").reason == "closed"

    def test_without_a_reason(self, face: Face):
        job = face.target.job(lambda: None, kind="any").enqueue()
        claim(face.target)
        asked = face.jobs.cancel(job.id)
        assert (asked.cancelling, asked.reason) == (True, None)

    def test_not_of_what_has_ended(self, face: Face):
        job = face.target.job(lambda: None, kind="any").enqueue()
        face.jobs.cancel(job.id)
        with pytest.raises(
            JobStateError, match=r"is cancelled; .* scheduled, blocked, ready or run"
        ):
            face.jobs.cancel(job.id)


class TestWorker:
    def test_an_async_handler_is_cancelled_within_a_second(self, new_app: NewApp, mode: str):
        app = new_app()
        seen = []

        @app.job
        async def forever(ctx: JobContext) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(ctx.cancel_reason)
                raise

        job = forever.enqueue()
        with working(app, mode) as worker:
            eventually(lambda: running(app, job), "the job to run")
            asked = time.monotonic()
            app.jobs.cancel(job.id, "sold out")
            done = ended(app, job)
            assert time.monotonic() - asked < cancels.LOOK_SECONDS + 5  # far beyond, on any machine
        assert (done.state, done.reason, done.attempt) == (State.CANCELLED, "sold out", 1)
        assert (done.worker, done.error, seen) == (worker.id, None, ["it was cancelled: sold out"])
        [record] = app.jobs.attempts(job.id)
        assert record.outcome is AttemptOutcome.CANCELLED

    def test_a_child_is_killed(self, new_app: NewApp, tmp_path: Path):
        app = new_app()
        hang = child_handlers.declare(app, child_handlers.hang)
        job = hang.enqueue(path=str(tmp_path / "pid"))
        pid_file = tmp_path / "pid"
        with working(app):
            pid = eventually(lambda: pid_file.exists() and pid_file.read_text(), "the child")
            app.jobs.cancel(job.id)
            done = ended(app, job)
            assert not is_alive(int(pid))
        assert (done.state, done.reason, done.error) == (State.CANCELLED, None, None)

    def test_a_thread_is_told_and_runs_on(self, new_app: NewApp, caplog: pytest.LogCaptureFixture):
        app = new_app()
        go, told = threading.Event(), threading.Event()

        @app.job(max_attempts=3, retry=AT_ONCE)
        def slow(ctx: JobContext) -> None:
            while not go.is_set():
                if ctx.cancelled:
                    told.set()
                time.sleep(0.005)  # the work
            raise ValueError("as always")

        job = slow.enqueue()
        with working(app):
            eventually(lambda: running(app, job), "the job to run")
            app.jobs.cancel(job.id, "sold out")
            assert told.wait(WITHIN)
            warned = eventually(lambda: logged(caplog, "cancel_ignored"), "a warning")
            assert warned[0]["job_id"] == job.id
            still = app.jobs.get(job.id)
            assert (still.state, still.cancelling) == (State.RUNNING, True)
            go.set()
            done = ended(app, job)
        assert (done.state, done.reason) == (State.CANCELLED, "sold out")
        assert len(logged(caplog, "cancel_ignored")) == 1

    @pytest.mark.parametrize("host", ["async", "thread"])
    @pytest.mark.parametrize("how", ["return", "raise", "snooze"])
    def test_only_work_that_is_done_counts(self, new_app: NewApp, host: str, how: str):
        app = new_app()
        go = threading.Event()

        def end() -> Any:
            if how == "raise":
                raise ValueError("as always")
            return Snooze(0) if how == "snooze" else "done"

        if host == "thread":

            @app.job(max_attempts=1)
            def work() -> Any:
                go.wait(WITHIN)
                return end()
        else:

            @app.job(max_attempts=1)
            async def work() -> Any:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return end()

        job = work.enqueue()
        with working(app):
            eventually(lambda: running(app, job), "the job to run")
            app.jobs.cancel(job.id, "sold out")
            go.set() if host == "thread" else None
            done = ended(app, job)
        if how == "return":
            assert (done.state, done.result, done.reason) == (State.COMPLETED, "done", None)
        elif host == "async":
            assert (done.state, done.reason) == (State.CANCELLED, "sold out")
        else:  # it may have failed for good before its worker was told
            assert done.state in (
                {State.DEAD, State.CANCELLED} if how == "raise" else {"cancelled"}
            )


class TestWithoutTheWorker:
    def test_a_job_whose_worker_dies_is_not_run_again(self, new_app: NewApp, database_url: str):
        app = new_app()
        job = app.job(lambda: None, kind="any").enqueue()
        claim(app, "of-the-dead")
        app.jobs.cancel(job.id, "sold out")
        [rescued] = rescue(app, 3)
        assert rescued == Finish(rescued.claim, State.CANCELLED)
        assert (rescued.claim.job_id, rescued.claim.worker) == (job.id, "of-the-dead")
        done = app.jobs.get(job.id)
        assert (done.state, done.reason, done.worker) == ("cancelled", "sold out", "of-the-dead")
        assert misplaced(database_url) == []

    def test_one_that_kills_its_workers_is_buried_in_spite(self, new_app: NewApp):
        app = new_app()
        job = app.job(lambda: None, kind="any").enqueue()
        claim(app, "of-the-dead")
        app.jobs.cancel(job.id)
        rescue(app, 1)
        assert app.jobs.get(job.id).reason == DeadReason.WORKER_DIED

    @pytest.mark.parametrize("host", ["async", "thread"])
    def test_a_worker_that_stops_gives_nothing_back(
        self, new_app: NewApp, host: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(cancels, "LOOK_SECONDS", 3600.0)  # it never hears of it
        app = new_app()
        started, go = threading.Event(), threading.Event()

        if host == "thread":

            @app.job
            def slow() -> None:
                started.set()
                go.wait(WITHIN)
        else:

            @app.job
            async def slow() -> None:
                started.set()
                await asyncio.Event().wait()

        job = slow.enqueue()
        with working(app, grace=0):
            assert started.wait(WITHIN)
            app.jobs.cancel(job.id, "sold out")
        go.set()
        done = app.jobs.get(job.id)
        assert (done.state, done.reason) == (State.CANCELLED, "sold out")
