"""Schedules while workers are killed at random and the database's clock steps about.

Of every schedule, each tick is in its history once or counted there as passed, and the jobs that
were stored are those that the history tells of: no tick is lost, and none is fired twice.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs, Missed, Schedule, Tick, TickOutcome
from dibs.model.times import to_micros
from dibs.model.timing import delayed
from dibs.store.ops.ticks import KEPT
from tests.support import recorder
from tests.support.clocks import PostgresClock, WallClock
from tests.support.crew import Crew
from tests.support.database import misplaced, query
from tests.support.seed import Chance
from tests.support.waiting import eventually

WORKERS = 3
# Longer than any step, so that only the dead lose their jobs, and nobody misses those here.
APP = {"heartbeat": 0.2, "lease": 10**7}
STEPS = (3, 10, 25, 70, 200, -10, -100)
"""Seconds by which the clock steps; further ahead than back, as a clock in a hurry."""
STEPS_PER_DEATH = 5
SCHEDULES: dict[str, dict[str, Any]] = {
    "all": {"every": 20, "missed": Missed.all(1000)},
    "cron": {"cron": "* * * * *", "tz": "Europe/Berlin", "missed": Missed.all(1000)},
    "jitter": {"every": 7, "missed": Missed.all(2), "jitter": 3600},
    "once": {"every": 20},
    "skip": {"every": 20, "missed": Missed.SKIP},
    "busy": {"every": 20, "overlap": "skip", "missed": Missed.all(5)},
    "newest": {"every": 20, "overlap": "cancel_previous", "missed": Missed.all(5)},
}
JOBS = """
    SELECT priority, scheduled_at FROM dibs_jobs
    UNION ALL SELECT priority, scheduled_at FROM dibs_history
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("steps", [15, pytest.param(300, marks=[pytest.mark.chaos])])
def test_every_tick_follows_its_policy_once(
    new_app: Callable[..., Dibs],
    database_url: str,
    engine: str,
    tmp_path: Path,
    chance: Chance,
    steps: int,
):
    machine = WallClock(tmp_path / "clock")
    new_app(**APP).job(recorder.record.function)
    clock = machine if engine == "sqlite" else PostgresClock(database_url)
    app = new_app(**APP)
    app.job(recorder.record.function)
    for number, (name, said) in enumerate(SCHEDULES.items()):
        app.schedules.create(name, "record", priority=number, **said)
    ahead = 0.0
    with Crew(database_url, tmp_path, app=APP, clock=str(machine.path)) as crew:
        alive = crew.start(WORKERS)
        for step in range(steps):
            ahead += chance.choice(STEPS)
            clock.step_to(ahead)
            if step % STEPS_PER_DEATH == 0:
                alive.pop(chance.randrange(len(alive))).send(signal.SIGKILL)
                alive += crew.start()
            time.sleep(chance.uniform(0, 0.1))  # so that it comes at any moment
        ahead = max(ahead, 0) + max(STEPS)
        clock.step_to(ahead)
        settled(app, lambda: datetime.fromtimestamp(time.time() + ahead, UTC))
        for name in SCHEDULES:
            app.schedules.pause(name)
        assert set(crew.stop()) == {0}
    assert misplaced(database_url) == []
    stored = query(database_url, JOBS)
    for number, name in enumerate(SCHEDULES):
        check(app.schedules.get(name), app.schedules.ticks(name, limit=KEPT), number, stored)


def settled(app: Dibs, now: Callable[[], datetime]) -> None:
    """Wait until no tick is due, with the clock as it stands."""

    def nothing_due() -> bool:
        return all(s.next_at is not None and s.next_at > now() for s in app.schedules.list())

    eventually(nothing_due, "all ticks to be fired", every=0.05)


def check(
    schedule: Schedule, ticks: list[Tick], priority: int, stored: list[tuple[int, int]]
) -> None:
    spec = schedule.spec
    assert spec is not None
    assert schedule.last_at is not None, f"{schedule.name} never ticked"
    timing, last = spec.timing, to_micros(schedule.last_at)
    told = [to_micros(tick.at) for tick in reversed(ticks)]
    pruned = len(told) == KEPT
    begin = told[0] - 1 if pruned else to_micros(schedule.created_at)
    grid = list(takewhile(lambda tick: tick <= last, timing.after(begin)))
    assert len(told) == len(set(told))
    assert set(told) <= set(grid)
    place = 0
    for tick in reversed(ticks):  # between two rows lie as many ticks as the second says
        place += 0 if pruned and not place else tick.passed
        assert grid[place] == to_micros(tick.at), f"{schedule.name}: {tick}"
        place += 1
    assert place == len(grid)
    jobs = Counter(at for number, at in stored if number == priority and at > begin)
    got_one = [t for t in ticks if t.outcome is TickOutcome.ENQUEUED]
    wanted = Counter(delayed(schedule.name, to_micros(t.at), spec.most_jitter) for t in got_one)
    assert len({tick.job_id for tick in got_one}) == len(got_one)
    assert wanted == jobs or (pruned and spec.most_jitter and wanted < jobs)
    if schedule.name in {"all", "cron"}:
        assert told == grid, "every tick gets a job"
