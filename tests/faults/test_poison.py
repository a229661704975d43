"""A job that kills its workers is quarantined, and the jobs beside it are not."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import DeadReason, Dibs, State
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced
from tests.support.waiting import eventually

OPTIONS = {"heartbeat": 0.1, "lease": 0.6, "max_crashes": 3}
NEIGHBOURS = 60


def at_rest(app: Dibs) -> bool:
    stats = app.stats()
    return not stats.waiting and not stats.states[State.RUNNING]


@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["fast", "slow"])
def test_only_the_job_that_kills_is_buried(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path, seconds: float
):
    app = new_app(**OPTIONS)
    poison = app.job(recorder.kill_worker.function)
    innocent = app.job(recorder.record_slowly.function)
    killer = poison.enqueue()  # in front, so that the same neighbours are held with it each time
    neighbours = app.enqueue_many(innocent.request(seconds=seconds) for _ in range(NEIGHBOURS))

    with Crew(database_url, tmp_path, app=OPTIONS, worker={"concurrency": 10}) as crew:
        for _ in range(OPTIONS["max_crashes"]):
            (victim,) = crew.start()
            assert victim.wait() == -signal.SIGKILL
        (last,) = crew.start()
        eventually(lambda: at_rest(app), "all jobs to end", within=60, every=0.1)
        assert last.stop() == 0
        killed = [entry for entry in crew.entries() if entry.job_id == killer.id]

    ended = app.jobs.get(killer.id)
    assert (ended.state, ended.reason) == (State.DEAD, DeadReason.WORKER_DIED)
    assert len(killed) == ended.crashes == OPTIONS["max_crashes"]
    assert {app.jobs.get(id_).state for id_ in neighbours} == {State.COMPLETED}
    assert misplaced(database_url) == []
