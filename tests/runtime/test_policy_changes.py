"""A policy that is changed while workers run holds at their next claim, without a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dibs import Aging, Dibs, Priority, State
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.waiting import eventually

WORKERS = 4
CONCURRENCY = 2
SECONDS = 0.02
"""Of each job."""
LOW = 8
NEXT_CLAIM = WORKERS * 20
"""Jobs that run until every worker has claimed again: few are held at this pace."""


@pytest.mark.parametrize(
    "policy",
    [{"aging": Aging(after=1, every=1, step=20)}, {"weights": {20: 1, 0: 1}}],
    ids=["aging", "weights"],
)
def test_workers_follow_a_changed_policy(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path, policy: dict[str, object]
):
    app = new_app()
    slowly = app.job(recorder.record_slowly.function)
    urgent = slowly.using(priority=Priority.CRITICAL)
    app.enqueue_many(urgent.request(SECONDS) for _ in range(5000))
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    low = app.enqueue_many(slowly.using(scheduled_at=long_ago).request(SECONDS) for _ in range(LOW))

    with Crew(database_url, tmp_path, worker={"concurrency": CONCURRENCY}) as crew:
        crew.start(WORKERS)
        eventually(lambda: len(crew.entries()) > 200, "the workers to be busy", every=0.05)
        assert {app.jobs.get(id_).state for id_ in low} == {State.READY}

        app.queues.configure("default", **policy)
        before = len(crew.entries())
        eventually(lambda: _started(crew, low), "the LOW jobs", every=0.05)
        started = [entry.job_id for entry in crew.entries()]
        assert all(started.index(id_) - before <= NEXT_CLAIM for id_ in low)

        app.queues.reset("default")
        more = app.enqueue_many(
            slowly.using(scheduled_at=long_ago).request(SECONDS) for _ in range(LOW)
        )
        before = len(crew.entries())
        eventually(lambda: len(crew.entries()) > before + 300, "the workers to go on", every=0.05)
        assert {app.jobs.get(id_).state for id_ in more} == {State.READY}
        assert [worker.warnings() for worker in crew.workers] == [[]] * WORKERS
        assert crew.stop() == [0] * WORKERS


def _started(crew: Crew, ids: list[int]) -> bool:
    return set(ids) <= {entry.job_id for entry in crew.entries()}
