"""What is left by workers that are killed or taken for dead: late ends, and jobs that kill."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from dibs import Dibs, State
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced
from tests.support.waiting import eventually

# A lease that a live worker keeps on a busy machine, and that runs out soon after a death. Killed
# workers take the same jobs down again and again, which is not these jobs' fault.
SHORT = {"heartbeat": 0.2, "lease": 2, "max_crashes": 1_000}


def test_the_late_end_of_a_worker_that_was_taken_for_dead_is_refused(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    app = new_app(**SHORT)
    job = app.job(recorder.record_slowly.function).enqueue(seconds=1.0)
    with Crew(database_url, tmp_path, app=SHORT) as crew:
        (hung,) = crew.start()
        eventually(lambda: crew.entries("start"), "the first start")
        hung.freeze()
        (other,) = crew.start()
        rescue = other.wait_for("job_rescued")
        assert (rescue["job_id"], rescue["worker"]) == (job.id, hung.id)
        eventually(lambda: len(crew.entries("start")) == 2, "the second start")
        hung.send(signal.SIGCONT)
        refusal = hung.wait_for("settle_refused")
        assert (refusal["job_id"], refusal["wanted"]) == (job.id, "completed")
        eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "the end")
        assert crew.stop() == [0, 0]
        done = app.jobs.get(job.id)
        assert (done.worker, done.result) == (other.id, other.id)
        assert (done.attempt, done.crashes) == (1, 1)
    assert misplaced(database_url) == []


def test_a_job_that_kills_its_workers_is_buried(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    options = {**SHORT, "lease": 0.6, "max_crashes": 2}
    app = new_app(**options)
    job = app.job(recorder.record_slowly.function).enqueue(seconds=60)
    with Crew(database_url, tmp_path, app=options) as crew:
        for turn in (1, 2):
            (victim,) = crew.start()
            eventually(lambda turn=turn: len(crew.entries("start")) == turn, "a start")
            victim.send(signal.SIGKILL)
        (last,) = crew.start()
        assert last.wait_for("job_rescued")["buried"] is True
        assert crew.stop() == [0]
    dead = app.jobs.get(job.id)
    assert (dead.state, dead.reason, dead.crashes) == (State.DEAD, "worker_died", 2)
    assert dead.attempt == 0
