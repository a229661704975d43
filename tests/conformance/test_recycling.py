"""A worker that has had enough stops gracefully, and says why."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from dibs import ConfigurationError, Dibs, State
from dibs.worker.recycling import resident
from tests.conformance.working import run, working
from tests.support.waiting import WITHIN, eventually

NewApp = Callable[..., Dibs]
MEGABYTE = 2**20


def test_after_so_many_jobs(new_app: NewApp, mode: str):
    app = new_app()
    ran = []

    @app.job
    async def note(n: int) -> None:
        ran.append(n)

    app.enqueue_many(note.request(n) for n in range(10))
    worker = app.worker(concurrency=1, max_jobs=3)
    run(worker, mode)  # returns of itself
    assert (ran, worker.recycling) == ([0, 1, 2], "it has run 3 jobs")
    stats = app.stats()
    assert (stats.states[State.READY], stats.states[State.RUNNING], stats.workers) == (7, 0, [])
    run(worker, mode)
    assert ran == [0, 1, 2, 3, 4, 5]


def test_what_runs_beside_may_finish(new_app: NewApp):
    app = new_app()
    started, go = threading.Event(), threading.Event()

    @app.job
    def slow() -> str:
        started.set()
        assert go.wait(WITHIN)
        return "done"

    job = slow.enqueue()
    quick = app.job(lambda: None, kind="quick")
    with working(app, concurrency=2, max_jobs=1) as worker:
        assert started.wait(WITHIN)
        quick.enqueue()
        eventually(lambda: worker.recycling, "the worker to have had enough")
        go.set()
        eventually(lambda: not app.stats().workers, "its end")
    assert app.jobs.get(job.id).result == "done"


def test_who_is_told_to_stop_wants_no_successor(new_app: NewApp):
    app = new_app()
    started, go = threading.Event(), threading.Event()

    @app.job
    def slow() -> str:
        started.set()
        assert go.wait(WITHIN)
        return "done"

    job = slow.enqueue()
    quick = app.job(lambda: None, kind="quick")
    with working(app, concurrency=2, max_jobs=1, grace=WITHIN) as worker:
        assert started.wait(WITHIN)
        quick.enqueue()
        eventually(lambda: worker.recycling, "the worker to have had enough")
        worker.stop()
        eventually(lambda: worker.recycling is None, "the worker to hear of it")
        go.set()
        eventually(lambda: not app.stats().workers, "its end")
    assert app.jobs.get(job.id).result == "done"  # the first stop is a graceful one


def test_when_too_many_have_leaked(new_app: NewApp, mode: str):
    app = new_app()
    go = threading.Event()

    @app.job(timeout=0.05, max_attempts=1)
    def hang() -> None:
        go.wait(WITHIN)

    jobs = [hang.enqueue() for _ in range(5)]
    worker = app.worker(concurrency=1, max_leaked=2)
    run(worker, mode)
    go.set()
    assert worker.recycling == "it has left 2 handlers behind that do not end"
    states = [app.jobs.get(job.id).state for job in jobs]
    assert states == [State.DEAD, State.DEAD, State.READY, State.READY, State.READY]


def test_when_it_has_grown_too_large(new_app: NewApp):
    app = new_app()
    kept: list[bytes] = []

    @app.job
    async def hoard() -> None:
        kept.append(b"x" * (64 * MEGABYTE))  # written to: what is only reserved is not resident

    hoard.enqueue()
    gc.collect()  # what the case before hoarded must not go while this one runs
    worker = app.worker(max_memory=resident() + 32 * MEGABYTE)
    worker.run()
    assert worker.recycling is not None
    assert worker.recycling.startswith("it has grown to ")
    assert len(kept) == 1


def test_not_before_it_ran_anything(new_app: NewApp):
    app = new_app()
    app.job(lambda: None, kind="any")
    with pytest.raises(ConfigurationError, match=r"max_memory=1 MB: this process has .* MB before"):
        app.worker(max_memory="1MB").run()


@pytest.mark.parametrize(
    "options", [{"max_jobs": 0}, {"max_jobs": True}, {"max_memory": "much"}, {"max_leaked": 0}]
)
def test_limits_that_are_none(options: dict[str, object]):
    app = Dibs("sqlite:///never-opened.db")
    app.job(lambda: None, kind="any")
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        app.worker(**options)  # type: ignore[arg-type]
