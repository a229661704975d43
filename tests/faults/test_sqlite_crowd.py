"""Scenario 6: two machines' worth of writers on one SQLite file, with their whole history."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced, wait_until_at_rest
from tests.support.history.final import history
from tests.support.history.report import Report, summarize
from tests.support.seed import Chance

PROCESSES = 8
"""Workers, and as many producers."""
# A lease that a live worker keeps although sixteen processes share two processors.
APP = {"heartbeat": 1, "lease": 60}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", [1.0, pytest.param(45.0, marks=[pytest.mark.chaos])])
def test_a_crowd_of_writers(
    sqlite_url: str, tmp_path: Path, chance: Chance, lab: Callable[[Report], None], seconds: float
):
    with closing(Dibs(sqlite_url)) as app:
        app.migrate()
    options = {"app": APP, "worker": {"concurrency": 3}}  # and up to three children each
    with Crew(sqlite_url, tmp_path, **options, tell=True) as crew:
        crew.start(PROCESSES)
        with Customers(
            sqlite_url, tmp_path, PROCESSES, seconds, seed=chance.seed_used, pause=0.02
        ) as customers:
            assert customers.finish() == ([0] * PROCESSES, [""] * PROCESSES)
        wait_until_at_rest(sqlite_url, within=90)
        assert crew.stop() == [0] * PROCESSES
        refused = [event for worker in crew.workers for event in worker.events("settle_refused")]
    assert refused == []
    assert misplaced(sqlite_url) == []
    lab(summarize("16 writers", "sqlite", history(sqlite_url, tmp_path), chance.seed_used))
