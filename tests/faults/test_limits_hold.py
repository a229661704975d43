"""Workers are killed at random, all the time, and no limit is ever exceeded."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support import recorder
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_at_rest
from tests.support.monitor import most_at_once, watch
from tests.support.seed import Chance

APP = {"heartbeat": 0.2, "lease": 2, "max_crashes": 1_000}
CREW = {"app": APP, "worker": {"concurrency": 20}}
LIMIT = recorder.PER_CUSTOMER.concurrency


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("workers", "customers", "jobs", "deaths", "every"),
    [(3, 10, 300, 2, 0.3), pytest.param(8, 200, 50_000, 60, 1.5, marks=[pytest.mark.chaos])],
)
def test_limits_hold_while_workers_are_killed(
    new_app: Callable[..., Dibs],
    database_url: str,
    tmp_path: Path,
    chance: Chance,
    workers: int,
    customers: int,
    jobs: int,
    deaths: int,
    every: float,
):
    app = new_app(**APP)
    watch(database_url)
    limits = [recorder.PER_CUSTOMER]
    visit = app.job(recorder.visit.function, limits=limits, retry=recorder.SOON)
    call = app.job(recorder.call.function, limits=limits)
    app.enqueue_many(
        call.request(customer=chance.randrange(customers), seconds=chance.uniform(0, 0.01))
        if chance.random() < 0.2
        else visit.request(
            customer=chance.randrange(customers),
            seconds=chance.uniform(0, 0.01),
            failures=int(chance.random() < 0.1),
        )
        for _ in range(jobs)
    )
    with Crew(database_url, tmp_path, **CREW) as crew:
        alive = [worker for _ in range(workers) for worker in crew.start()]
        for _ in range(deaths):
            time.sleep(chance.uniform(0.5, 1.5) * every)  # so that it comes at any moment
            victim = alive.pop(chance.randrange(len(alive)))
            victim.send(signal.SIGKILL)
            victim.wait()
            alive += crew.start()
        wait_until_at_rest(database_url, within=600)
        assert set(crew.stop()) == {0}
    most = most_at_once(database_url)
    assert len(most) == customers
    assert set(most.values()) == {LIMIT}, "a limit was exceeded, or never reached"
    assert query(database_url, "SELECT COUNT(*) FROM dibs_history WHERE state = 'completed'") == [
        (jobs,)
    ]
    assert query(database_url, "SELECT key FROM dibs_slots") == []
    assert misplaced(database_url) == []
