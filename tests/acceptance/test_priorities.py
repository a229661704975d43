"""What a person must be able to verify about priorities, as that person would: by the commands."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dibs import Aging, Dibs, Job, Priority, State
from tests.conformance.working import working
from tests.support.command import Folder
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Folder:
    folder = Folder(tmp_path, database_url)
    assert folder.shop("migrate").code == 0
    return folder


def enqueue(shop: Folder, word: str, *options: object) -> int:
    args = json.dumps({"word": word})
    return shop.shop("enqueue", "note", args, "--json", *options).document["id"]


def run(shop: Folder, *options: object) -> list[str]:
    """Run all that waits, and return the order in which it ran."""
    worker = ("worker", "--until-idle", "--concurrency", 1, "--log-level", "error")
    assert shop.shop(*worker, *options).code == 0
    return shop.lines("done")


def test_five_jobs_run_in_the_order_of_their_priorities(shop: Folder):
    for priority in ("NORMAL", "LOW", "CRITICAL", "7", "HIGH"):
        enqueue(shop, priority, "--priority", priority)
    assert run(shop) == ["CRITICAL", "HIGH", "7", "NORMAL", "LOW"]


def test_high_runs_before_low_that_came_first(shop: Folder):
    enqueue(shop, "low", "--priority", "LOW")
    enqueue(shop, "high", "--priority", "HIGH")
    assert run(shop) == ["high", "low"]


def test_the_four_jobs_of_the_example(shop: Folder):
    ten = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
    for word, priority, due in (
        ("order confirmation", "HIGH", ten + timedelta(seconds=3)),
        ("analytics sync", "LOW", ten - timedelta(minutes=5)),
        ("password reset", "CRITICAL", ten + timedelta(seconds=5)),
        ("payment retry", "HIGH", ten + timedelta(seconds=1)),
    ):
        enqueue(shop, word, "--priority", priority, "--scheduled-at", due.isoformat())
    assert run(shop) == ["password reset", "payment retry", "order confirmation", "analytics sync"]


def test_a_waiting_job_s_priority_rises_visibly(shop: Folder):
    told = shop.shop("queues", "configure", "default", "--after", 10, "--every", 0.5, "--step", 3)
    assert told.out == "queue default: aging: +3 after 10 s, then +3 every 0.5 s, up to 20\n"
    due = datetime.now(UTC) - timedelta(seconds=9)  # it has waited for all but a second
    low = enqueue(shop, "low", "--priority", "LOW", "--scheduled-at", due.isoformat())

    def effective() -> int:
        job = shop.shop("jobs", "show", low, "--json").document
        assert job["priority"] == 0
        return job["effective_priority"]

    assert eventually(effective, "the first step", every=0.1) < 20
    eventually(lambda: effective() == 20, "the ceiling", every=0.1)
    assert "0→20" in shop.shop("jobs", "list").out
    enqueue(shop, "critical", "--priority", "CRITICAL")
    assert run(shop) == ["low", "critical"]


# --- A flood that never ends ---------------------------------------------------------------------


class Flood:
    """CRITICAL jobs that come in faster than the workers can run them, and one LOW job."""

    BACKLOG = 1000
    """Always waiting: far more than a worker claims at once."""

    def __init__(self, app: Dibs) -> None:
        self.app = app
        self.ran: list[str] = []

        @app.job
        async def work(name: str) -> None:
            await asyncio.sleep(0.002)  # what the work takes, so that the flood can be faster
            self.ran.append(name)

        self.work = work
        self._over = threading.Event()

    def rise(self) -> None:
        """Enqueue until it is over, so that there are always more than have run."""
        urgent = self.work.using(priority=Priority.CRITICAL)
        came = 0
        while not self._over.is_set():
            if came - len(self.ran) < self.BACKLOG:
                self.app.enqueue_many(urgent.request(f"critical {came}") for _ in range(200))
                came += 200
            self._over.wait(0.001)  # else the producer would starve the worker of the processor

    @contextmanager
    def rising(self) -> Iterator[Job]:
        """Have the flood rise around a LOW job."""
        producer = threading.Thread(target=self.rise, name="flood")
        producer.start()
        try:
            eventually(lambda: len(self.ran) > 100, "the flood to run")
            yield self.work.enqueue("low")
        finally:
            self._over.set()
            producer.join()

    def ran_meanwhile(self, count: int) -> None:
        """Wait until so many more have run."""
        before = len(self.ran)
        eventually(lambda: len(self.ran) >= before + count, f"{count} more jobs")


def test_without_aging_a_low_job_starves_in_a_flood(new_app: NewApp):
    flood = Flood(new_app())
    with working(flood.app, concurrency=2), flood.rising() as low:
        flood.ran_meanwhile(1000)
        assert flood.app.jobs.get(low.id).state is State.READY


def test_with_aging_it_runs_within_the_bound(new_app: NewApp):
    flood = Flood(new_app())
    aging = Aging(after=0.2, every=0.1, step=10, ceiling=Priority.CRITICAL)
    flood.app.queues.configure("default", aging=aging)
    bound = timedelta(seconds=0.2 + 0.1)  # two steps to CRITICAL
    with working(flood.app, concurrency=2), flood.rising() as low:
        eventually(lambda: "low" in flood.ran, "the LOW job")
        done = eventually(lambda: _ended(flood.app, low), "its record")
        others = flood.app.jobs.list(state=State.COMPLETED, limit=10_000)
    aged, started = done.scheduled_at + bound, done.started_at
    # From then on nothing passes that came in later; a claim reads the order before it takes, so
    # the one that was under way at that moment does not count.
    late = {
        job.started_at
        for job in others
        if job.scheduled_at > done.scheduled_at and aged < job.started_at < started
    }
    assert len(late) <= 1


def test_with_a_worker_of_its_own_it_runs_at_once(new_app: NewApp):
    flood = Flood(new_app())
    with (
        working(flood.app, concurrency=2, priorities=(10, None)),
        working(flood.app, concurrency=1, priorities=(None, 9)),
        flood.rising() as low,
    ):
        eventually(lambda: "low" in flood.ran, "the LOW job")
        assert eventually(lambda: _ended(flood.app, low), "its record").attempt == 1


def _ended(app: Dibs, job: Job) -> Job | None:
    found = app.jobs.get(job.id)
    return found if found.state is State.COMPLETED else None
