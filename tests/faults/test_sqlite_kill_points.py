"""Scenario 6: processes die in the middle of their commits on SQLite, at random moments."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_at_rest
from tests.support.history.events import What
from tests.support.history.final import history
from tests.support.history.log import read
from tests.support.history.report import Report, summarize
from tests.support.nursery import python
from tests.support.seed import Chance

APP = {"heartbeat": 0.2, "lease": 0.6, "max_crashes": 10_000}
LONGEST = 0.25
"""Seconds that a process lives at most: a worker claims within the first 30 ms."""
SIDE_BY_SIDE = 2


@pytest.mark.timeout(200)
@pytest.mark.parametrize("deaths", [60, pytest.param(1_000, marks=[pytest.mark.chaos])])
def test_death_at_any_moment_of_a_commit(
    sqlite_url: str,
    tmp_path: Path,
    chance: Chance,
    lab: Callable[[Report], None],
    deaths: int,
):
    with closing(Dibs(sqlite_url, **APP)) as app:
        app.migrate()
    options = {"url": sqlite_url, "folder": str(tmp_path), "app": APP}
    env = {**os.environ, "RECORDER": json.dumps(options)}
    each = str(deaths // SIDE_BY_SIDE)
    dying = []
    for number in range(SIDE_BY_SIDE):
        with (tmp_path / f"dying-{number}.out").open("wb") as out:
            command = [each, f"{chance.seed_used}-{number}", str(LONGEST)]
            line = ("-W", "error", "-m", "tests.support.sacrifice", *command)
            dying.append(python(*line, env=env, out=out, err=out))
    said = [process.wait() or "" for process in dying]
    assert said == [""] * SIDE_BY_SIDE, [p.read_text() for p in tmp_path.glob("dying-*.out")]

    # Nobody is left, and nobody had time to tidy up: the log of the file still holds commits.
    assert (tmp_path / "dibs.db-wal").stat().st_size > 0
    promised = {e.job for e in read(tmp_path) if e.what is What.ACKNOWLEDGED}
    assert len(promised) > deaths
    assert query(sqlite_url, "PRAGMA integrity_check") == [("ok",)]
    assert misplaced(sqlite_url) == []

    with Crew(sqlite_url, tmp_path, app=APP, tell=True) as crew:
        crew.start()
        wait_until_at_rest(sqlite_url, within=60)
        assert crew.stop() == [0]
    assert misplaced(sqlite_url) == []
    story = history(sqlite_url, tmp_path)
    lab(summarize("killed within commits", "sqlite", story, chance.seed_used))
