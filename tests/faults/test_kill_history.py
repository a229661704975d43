"""Scenario 1: workers are killed at random, all the time; the history keeps every promise."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced, wait_until_at_rest
from tests.support.history.events import What
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.seed import Chance

WORKERS = 4
# A lease that a live worker keeps on a busy machine, and that runs out soon after a death. Killed
# workers take the same jobs down again and again, which is not these jobs' fault.
APP = {"heartbeat": 0.2, "lease": 2, "max_crashes": 1_000}
CREW = {"app": APP, "worker": {"concurrency": 10}, "tell": True}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("seconds", "every"), [(2.0, 0.4), pytest.param(60.0, 1.0, marks=[pytest.mark.chaos])]
)
def test_workers_are_killed_all_the_time(
    new_app: Callable[..., Dibs],
    database_url: str,
    engine: str,
    tmp_path: Path,
    chance: Chance,
    lab: Callable[[Report], None],
    seconds: float,
    every: float,
):
    new_app(**APP)
    log = Log(tmp_path)
    with Crew(database_url, tmp_path, **CREW) as crew:
        alive = crew.start(WORKERS)
        with Customers(
            database_url, tmp_path, 2, seconds, seed=chance.seed_used, pause=0.02
        ) as customers:
            death = time.monotonic()
            end = death + seconds
            while death < end:
                death = max(death + chance.uniform(0.5, 1.5) * every, time.monotonic())
                time.sleep(max(0, death - time.monotonic()))  # so that it comes at any moment
                victim = alive.pop(chance.randrange(len(alive)))
                log.fault(What.KILLED, victim.id)
                victim.send(signal.SIGKILL)
                victim.wait()
                alive += crew.start()
            assert customers.finish() == ([0, 0], ["", ""])
        wait_until_at_rest(database_url, within=60)
        assert set(crew.stop()) == {0}
    assert misplaced(database_url) == []
    lab(summarize("workers killed", engine, history(database_url, tmp_path), chance.seed_used))
