"""Scenario 5: clocks are wrong, and step while the work goes on.

Workers measure with the monotonic clock, which never steps, and compare times of the database
alone. On PostgreSQL those are the server's; on SQLite the machine's, on which the file lies. What
cannot be produced here: a step of the kernel's own clock, and machines that disagree about one
SQLite file, which may not be shared between machines at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from dibs import Dibs
from tests.support.clocks import PostgresClock, WallClock
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced, query, wait_until_at_rest
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.seed import Chance
from tests.support.waiting import eventually

HOUR = 3600.0
LEASE = 10.0
"""Long enough that a worker keeps it on a crowded machine, whatever a small step takes from it."""
APP = {"heartbeat": 0.2, "lease": LEASE, "max_crashes": 1_000}
WORKERS = 4
BEATS = "SELECT id, beat_at FROM dibs_workers"
PAUSE = 0.4
"""Seconds between two steps, at least: until each worker has renewed its lease."""
Steps = pytest.mark.parametrize("steps", [6, pytest.param(150, marks=[pytest.mark.chaos])])
Judge = Callable[[Report], None]


class Clock(Protocol):
    def step_to(self, seconds: float) -> None: ...


@Steps
def test_workers_whose_own_clocks_are_wrong_change_nothing(
    postgres_url: str,
    tmp_path: Path,
    chance: Chance,
    lab: Judge,
    steps: int,
):
    """An hour ahead, an hour behind, and two that step about: only the server's clock counts."""
    migrate(postgres_url)
    clocks = [WallClock(tmp_path / f"clock-{number}") for number in range(WORKERS)]
    clocks[0].step_to(HOUR)
    clocks[1].step_to(-HOUR)
    with Crew(postgres_url, tmp_path, app=APP, tell=True) as crew:
        for clock in clocks:
            crew.start(clock=str(clock.path))
        step_about(clocks[2:], [-HOUR, HOUR], postgres_url, tmp_path, chance, steps)
        end(crew, postgres_url)
    lab(summarize("workers' clocks", "postgres", history(postgres_url, tmp_path), chance.seed_used))


@Steps
@pytest.mark.parametrize(
    ("most", "told"), [(LEASE / 5, "small steps"), (HOUR, "an hour")], ids=["small", "an-hour"]
)
def test_the_clock_of_the_database_steps(
    database_url: str,
    engine: str,
    tmp_path: Path,
    chance: Chance,
    lab: Judge,
    steps: int,
    most: float,
    told: str,
):
    """No step takes a claim from the living, however long it is."""
    migrate(database_url)
    machine = WallClock(tmp_path / "clock")
    clock = machine if engine == "sqlite" else PostgresClock(database_url)
    with Crew(database_url, tmp_path, app=APP, tell=True, clock=str(machine.path)) as crew:
        crew.start(WORKERS)
        step_about([clock], [-most, 0, most], database_url, tmp_path, chance, steps)
        clock.step_to(most)  # what was to be tried again in a while is due by then
        end(crew, database_url)
    story = history(database_url, tmp_path)
    lab(summarize(f"the database's clock, {told}", engine, story, chance.seed_used))


def step_about(
    clocks: list[Clock], to: list[float], url: str, folder: Path, chance: Chance, steps: int
) -> None:
    """Step the clocks about, while jobs are enqueued and worked off."""
    seconds, log = steps * PAUSE, Log(folder)
    clock_file = str(folder / "clock")
    with Customers(
        url, folder, 2, seconds, seed=chance.seed_used, pause=0.02, clock=clock_file
    ) as customers:
        for _ in range(steps):
            time.sleep(PAUSE)  # work goes on for a while by each time
            log.fault(to="step")
            chance.choice(clocks).step_to(chance.choice(to))
            # Who has not beaten between two steps of an hour is silent for an hour beside who has.
            all_have_beaten(url)
        assert customers.finish() == ([0, 0], ["", ""])


def all_have_beaten(url: str) -> None:
    """Wait for a heartbeat of every worker."""
    last = set(query(url, BEATS))
    eventually(lambda: last.isdisjoint(query(url, BEATS)), "a heartbeat of every worker")


def migrate(url: str) -> None:
    with closing(Dibs(url)) as app:
        app.migrate()


def end(crew: Crew, url: str) -> None:
    wait_until_at_rest(url, within=60)
    assert set(crew.stop()) == {0}
    assert misplaced(url) == []
