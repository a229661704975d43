"""Workers are killed at random and replaced: nothing is lost, nothing is settled twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from dibs import Dibs, State
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_ended
from tests.support.waiting import eventually

WORKERS = 4
JOBS = 6_000
KILLS = 8
PRIORITIES = (-3, 0, 5, 10, 20)
SEED = 20_240_502
# A lease that a live worker keeps on a busy machine, and that runs out soon after a death. Killed
# workers take the same jobs down again and again, which is not these jobs' fault.
SHORT = {"heartbeat": 0.2, "lease": 2, "max_crashes": 1_000}


def test_nothing_is_lost_and_only_what_the_killed_held_repeats(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    app = new_app(**SHORT)
    quick = app.job(recorder.record.function)
    slow = app.job(recorder.record_slowly.function)
    requests = [quick.using(priority=chance.choice(PRIORITIES)).request() for _ in range(JOBS // 2)]
    requests += [
        slow.using(priority=chance.choice(PRIORITIES)).request(seconds=chance.uniform(0, 0.05))
        for _ in range(JOBS // 2)
    ]
    ids = app.enqueue_many(requests)

    with Crew(database_url, tmp_path, app=SHORT, worker={"concurrency": 10}) as crew:
        alive = crew.start(WORKERS)
        killed = set()
        for _ in range(KILLS):
            victim = alive.pop(chance.randrange(len(alive)))
            time.sleep(chance.uniform(0, 0.2))  # so that death comes at any moment
            victim.send(signal.SIGKILL)
            victim.wait()
            killed.add(victim.id)
            alive += crew.start()
        wait_until_ended(database_url, within=60)
        assert set(crew.stop()) == {0}
        started = crew.entries()
        survivors = [worker for worker in crew.workers if worker.id not in killed]
        rescued = [event for worker in crew.workers for event in worker.events("job_rescued")]
        refused = [event for worker in survivors for event in worker.events("settle_refused")]

    assert {event["worker"] for event in rescued} <= killed  # never from a live worker
    assert refused == []
    assert app.stats().states[State.COMPLETED] == JOBS  # counted with each settlement
    assert misplaced(database_url) == []
    done = query(database_url, "SELECT id, worker, result, attempt, crashes FROM dibs_history")
    assert sorted(row[0] for row in done) == sorted(ids)
    starters = defaultdict(list)
    for entry in started:
        starters[entry.job_id].append(entry.worker)
    rescues = Counter(event["job_id"] for event in rescued)
    for job_id, worker, result, attempt, crashes in done:
        assert result.strip('"') == worker  # settled by the one whose claim was valid
        *earlier, last = starters[job_id]
        assert last == worker
        assert set(earlier) <= killed
        assert (attempt, len(earlier) <= crashes) == (1, True)
        # A killed worker may have rescued it too, and was killed before it said so.
        assert rescues[job_id] <= crashes
    assert sum(rescues.values()) > 0, "the killed held nothing: this run shows nothing"
    assert max(len(workers) for workers in starters.values()) > 1


def test_the_late_end_of_a_worker_that_was_taken_for_dead_is_refused(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    app = new_app(**SHORT)
    job = app.job(recorder.record_slowly.function).enqueue(seconds=1.0)
    with Crew(database_url, tmp_path, app=SHORT) as crew:
        (hung,) = crew.start()
        eventually(lambda: crew.entries("start"), "the first start")
        hung.send(signal.SIGSTOP)
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
