"""Workers drain a queue while others change priorities and times in it: every job runs once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dibs import Dibs, JobStateError, State
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_ended

WORKERS = 3
JOBS = 800
PRIORITIES = (-5, 0, 10, 20)
DELAYS = (0, 0, 0.005)
SEED = 20_240_502
BOTH_SAY_THE_SAME = """
SELECT j.id FROM dibs_jobs AS j JOIN dibs_ready AS r ON r.job_id = j.id
WHERE r.priority <> j.priority OR r.scheduled_at <> j.scheduled_at
"""


class Meddler(threading.Thread):
    """Changes the priority or the time of jobs again and again, as long as one of them waits."""

    def __init__(self, app: Dibs, url: str, ids: list[int], seed: int) -> None:
        super().__init__(name=f"meddler-{seed}", daemon=True)
        self.changes = 0
        self.problems: list[object] = []
        self._app, self._url, self._waiting = app, url, list(ids)
        self._chance = random.Random(seed)

    def run(self) -> None:
        try:
            while self._waiting:
                self._round()
                self.problems += query(self._url, BOTH_SAY_THE_SAME)
        except BaseException as error:
            self.problems.append(error)

    def _round(self) -> None:
        # A few at a time: the others of these threads, and workers, are after the same ones.
        for id_ in self._waiting[:20]:
            try:
                if self._chance.random() < 0.7:
                    self._app.jobs.reprioritize(id_, self._chance.choice(PRIORITIES))
                else:
                    self._app.jobs.reschedule(id_, delay=self._chance.choice(DELAYS))
                self.changes += 1
            except JobStateError as error:
                if error.state in set(State):
                    self._waiting.remove(id_)
        self._chance.shuffle(self._waiting)


def test_each_job_runs_once_whatever_its_priority_and_time_were(
    new_app: Callable[..., Dibs], database_url: str, tmp_path: Path
):
    print(f"seed {SEED}")
    app = new_app()
    record = app.job(recorder.record.function)
    requests = [record.request() for _ in range(JOBS)]
    soon = [record.using(delay=n / JOBS).request() for n in range(JOBS)]
    ids = app.enqueue_many(requests + soon)
    meddlers = [Meddler(app, database_url, ids, SEED + n) for n in range(2)]

    with Crew(database_url, tmp_path, worker={"concurrency": 2}) as crew:
        for meddler in meddlers:
            meddler.start()
        crew.start(WORKERS)
        wait_until_ended(database_url, within=90)
        for meddler in meddlers:
            meddler.join(30)
        assert crew.stop() == [0] * WORKERS
        started = crew.entries()
        assert [worker.warnings() for worker in crew.workers] == [[]] * WORKERS

    assert [meddler.problems for meddler in meddlers] == [[], []]
    assert all(meddler.changes > 100 for meddler in meddlers)
    assert not any(meddler.is_alive() for meddler in meddlers)
    assert Counter(entry.job_id for entry in started) == Counter(ids)
    assert app.stats().states[State.COMPLETED] == len(ids)
    assert misplaced(database_url) == []
