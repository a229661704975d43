"""How a worker stops: from outside, from its own loop, at once, and before it began."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from dibs import Dibs, State
from dibs.services.stalls import Stalls
from tests.conformance.working import run, working
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]


class TestStopping:
    def test_from_another_thread_lets_jobs_finish(self, new_app: NewApp, mode: str):
        app = new_app()
        started, go = threading.Event(), threading.Event()

        @app.job
        def slow() -> str:
            started.set()
            assert go.wait(20)
            return "done"

        jobs = [slow.enqueue() for _ in range(3)]
        worker = app.worker(concurrency=1)
        thread = threading.Thread(target=run, args=(worker, mode))
        thread.start()
        assert started.wait(20)
        worker.stop()
        go.set()
        thread.join(20)
        assert not thread.is_alive()
        first, *others = [app.jobs.get(job.id) for job in jobs]
        assert (first.state, first.result) == (State.COMPLETED, "done")
        assert {(job.state, job.attempt) for job in others} == {(State.READY, 0)}

    def test_twice_gives_back_what_runs(self, new_app: NewApp, mode: str):
        app = new_app()
        started = threading.Event()
        cancelled = []

        @app.job
        async def forever() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        job = forever.enqueue()
        worker = app.worker(grace=60)
        thread = threading.Thread(target=run, args=(worker, mode))
        thread.start()
        assert started.wait(20)
        worker.stop()
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()
        back = app.jobs.get(job.id)
        assert (back.state, back.attempt, back.crashes, cancelled) == (State.READY, 0, 0, [1])

    def test_what_a_cancelled_handler_returns_counts(self, new_app: NewApp):
        app = new_app()
        started = threading.Event()

        @app.job
        async def careful() -> str:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "cleaned up"
            return "never"

        job = careful.enqueue()
        with working(app, grace=0):
            assert started.wait(20)
        assert app.jobs.get(job.id).result == "cleaned up"

    def test_before_it_runs(self, new_app: NewApp, mode: str):
        app = new_app()
        job = app.job(lambda: None, kind="never").enqueue()
        worker = app.worker()
        worker.stop()
        run(worker, mode)
        assert app.jobs.get(job.id).state is State.READY

    def test_cancelling_arun_stops_gracefully(self, new_app: NewApp):
        app = new_app()
        started = threading.Event()

        @app.job
        async def slow() -> str:
            started.set()
            await asyncio.sleep(0.3)  # the work
            return "done"

        job = slow.enqueue()

        async def main() -> None:
            running = asyncio.create_task(app.worker().arun())
            await asyncio.to_thread(started.wait, 20)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(main())
        assert app.jobs.get(job.id).result == "done"

    def test_the_same_worker_runs_again(self, new_app: NewApp, mode: str):
        app = new_app()
        ran = []

        @app.job
        async def note(n: int) -> None:
            ran.append(n)

        worker = app.worker()
        for n in (1, 2):
            note.enqueue(n)
            run(worker, mode, until_idle=True)
        assert ran == [1, 2]


def test_a_loop_that_swallows_its_cancellation_ends_too(
    new_app: NewApp, monkeypatch: pytest.MonkeyPatch
):
    """As drivers and libraries may do, now and then."""

    async def deaf(self: Stalls) -> float:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 60.0

    monkeypatch.setattr(Stalls, "tick", deaf)
    app = new_app()
    job = app.job(lambda: None, kind="any").enqueue()
    with working(app):
        eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "a job to run")
