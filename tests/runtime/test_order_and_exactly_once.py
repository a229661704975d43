"""Four worker processes drain a backlog: every job runs once, in order to within what is held."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dibs import Dibs, State
from dibs.model.prefetch import MOST
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_ended

WORKERS = 4
JOBS = 20_000
PRIORITIES = (-3, 0, 5, 10, 20)
CONCURRENCY = 10
SEED = 20_240_501


def test_each_job_runs_once_and_in_order(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    app = new_app()
    record = app.job(recorder.record.function)
    priorities = [chance.choice(PRIORITIES) for _ in range(JOBS)]
    ids = app.enqueue_many(record.using(priority=p).request() for p in priorities)
    priority_of = dict(zip(ids, priorities, strict=True))

    with Crew(database_url, tmp_path, worker={"concurrency": CONCURRENCY}) as crew:
        crew.start(WORKERS)
        wait_until_ended(database_url, within=90)
        assert crew.stop() == [0] * WORKERS
        started = crew.entries()
        assert [worker.warnings() for worker in crew.workers] == [[]] * WORKERS

    assert Counter(entry.job_id for entry in started) == Counter(ids)  # each once
    assert app.stats().states[State.COMPLETED] == JOBS
    assert misplaced(database_url) == []
    done = query(database_url, "SELECT id, result, worker, attempt FROM dibs_history")
    ran_by = {entry.job_id: entry.worker for entry in started}
    for job_id, result, worker, attempt in done:
        assert ran_by[job_id] == worker == result.strip('"')
        assert attempt == 1
    assert len(set(ran_by.values())) == WORKERS  # all of them took part

    # Whoever starts a job can be overtaken only by what others hold already: at most what runs
    # and what is fetched ahead, worker by worker. All jobs were there before the first worker.
    held_by_others = (WORKERS - 1) * (CONCURRENCY + MOST)
    waiting = Counter(priorities)
    for entry in started:
        own = priority_of[entry.job_id]
        waiting[own] -= 1
        overtaken = sum(count for priority, count in waiting.items() if priority > own)
        assert overtaken <= held_by_others + CONCURRENCY + MOST

    # Within one worker nothing overtakes: its claims come from the front, and start in order
    # unless a worker that was held up gave something back.
    for worker in set(ran_by.values()):
        line = [priority_of[e.job_id] for e in started if e.worker == worker]
        back = sum(1 for a, b in itertools.pairwise(line) if b > a)
        assert back <= 50
