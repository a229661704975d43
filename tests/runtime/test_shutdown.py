"""Stopping a worker process: what runs ends or goes back, no attempt is lost, nothing hangs."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from dibs import Dibs, State
from tests.support import child_handlers, recorder
from tests.support.crew import Crew, WorkerProcess
from tests.support.database import misplaced, query, wait_until_ended
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]
JOBS = 200
CHILDREN = 4
GRACE = 3.0
SOME_SECONDS = 8.0
"""What stopping may take beyond the grace time: far more than it needs."""


def declared(app: Dibs) -> dict[str, Any]:
    return {
        "async": app.job(recorder.record_slowly.function),
        "thread": app.job(recorder.record_in_thread.function),
        "child": child_handlers.declare(app, recorder.record_in_child),
    }


def started_jobs(crew: Crew) -> int:
    return len({entry.job_id for entry in crew.entries("start")})


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # init may take its time to collect it
    except psutil.NoSuchProcess:
        return False


def seconds_to_end(worker: WorkerProcess, within: float) -> float:
    begin = time.monotonic()
    assert worker.wait(within) == 0
    return time.monotonic() - begin


def test_sigterm_while_200_jobs_run(new_app: NewApp, database_url: str, tmp_path: Path):
    app = new_app()
    handlers = declared(app)
    # Half of each kind end within the grace time, the others would run far longer.
    short = {n for n in range(JOBS) if n % 4 < 2}
    requests = []
    for n in range(JOBS):
        name = "child" if n < CHILDREN else ("async", "thread")[n % 2]
        requests.append(handlers[name].request(seconds=120, go=n in short))
    ids = app.enqueue_many(requests)

    options = {"concurrency": JOBS, "grace": GRACE}
    with Crew(database_url, tmp_path, worker=options) as crew:
        (worker,) = crew.start()
        eventually(lambda: started_jobs(crew) == JOBS, "all jobs to run")
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.send(signal.SIGTERM)
        worker.wait_for("worker_stopping")
        (tmp_path / "go").touch()
        seconds_to_end(worker, GRACE + SOME_SECONDS)
        stopped = worker.events("worker_stopped")[-1]
        assert stopped["settled"] is True
        assert worker.warnings() == []
        eventually(lambda: not any(map(runs, children)), "the end of all children")

    states = Counter(app.jobs.get(id_).state for id_ in ids)
    assert states == {State.COMPLETED: len(short), State.READY: JOBS - len(short)}
    assert stopped["interrupted"] == JOBS - len(short)
    for n, id_ in enumerate(ids):
        job = app.jobs.get(id_)
        assert (job.state is State.COMPLETED) == (n in short)
        assert (job.attempt, job.crashes, job.error) == (int(n in short), 0, None)
    assert app.stats().workers == []
    assert misplaced(database_url) == []


def test_a_restart_drains_what_went_back(new_app: NewApp, database_url: str, tmp_path: Path):
    app = new_app()
    handlers = declared(app)
    ids = app.enqueue_many(
        handlers["child" if n < CHILDREN else ("async", "thread")[n % 2]].request(seconds=0.3)
        for n in range(JOBS)
    )
    options = {"concurrency": 40, "grace": 0}
    with Crew(database_url, tmp_path, worker=options) as crew:
        (worker,) = crew.start()
        eventually(lambda: started_jobs(crew) >= 60, "some jobs to run, and some to end")
        assert worker.stop(SOME_SECONDS) == 0
        assert app.stats().states[State.RUNNING] == 0
        assert app.stats().states[State.READY] > 0
        crew.start()
        wait_until_ended(database_url, within=30)
        assert crew.stop() == [0]
    done = query(database_url, "SELECT id, attempt, crashes FROM dibs_history")
    assert sorted(done) == [(id_, 1, 0) for id_ in ids]
    assert misplaced(database_url) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(
    new_app: NewApp, database_url: str, tmp_path: Path, number: signal.Signals
):
    app = new_app()
    ids = app.enqueue_many(
        handler.request(seconds=120) for handler in declared(app).values() for _ in range(2)
    )
    with Crew(database_url, tmp_path, worker={"grace": 120}) as crew:
        (worker,) = crew.start()
        eventually(lambda: started_jobs(crew) == len(ids), "all jobs to run")
        worker.send(number)
        worker.wait_for("worker_stopping")
        assert worker.process.poll() is None
        worker.send(number)
        seconds_to_end(worker, SOME_SECONDS)
    jobs = [app.jobs.get(id_) for id_ in ids]
    assert {(job.state, job.attempt, job.crashes) for job in jobs} == {(State.READY, 0, 0)}


def test_an_idle_worker_ends_at_once(new_app: NewApp, database_url: str, tmp_path: Path):
    new_app()
    with Crew(database_url, tmp_path, worker={"poll": 30, "grace": 120}) as crew:
        (worker,) = crew.start()
        worker.send(signal.SIGTERM)
        assert seconds_to_end(worker, SOME_SECONDS) < 4
        assert worker.warnings() == []


def test_a_handler_that_refuses_to_be_cancelled_cannot_hold_the_worker(
    new_app: NewApp, database_url: str, tmp_path: Path
):
    app = new_app()
    job = app.job(recorder.stubborn.function).enqueue()
    with Crew(database_url, tmp_path, worker={"grace": 0}) as crew:
        (worker,) = crew.start()
        eventually(lambda: started_jobs(crew) == 1, "the job to run")
        worker.send(signal.SIGTERM)
        seconds_to_end(worker, SOME_SECONDS)
        (warning,) = worker.warnings()
        assert (warning["event"], warning["job_id"]) == ("handler_left_behind", job.id)
    waiting = app.jobs.get(job.id)
    assert (waiting.state, waiting.attempt, waiting.crashes) == (State.READY, 0, 0)
