"""A clock that the test moves, and an app whose handler writes down the order of its calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dibs import Dibs, Job
from tests.conformance.working import work

TEN = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved, or goes on at each look."""

    def __init__(self, now: datetime = TEN) -> None:
        self.now = now
        self.pace = 0.0
        """Seconds by which it moves whenever it is looked at."""

    def __call__(self) -> datetime:
        self.move(self.pace)
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Notes:
    """An app whose handler writes down the order of its calls."""

    def __init__(self, app: Dibs) -> None:
        self.app = app
        self.ran: list[str] = []

        @app.job
        async def note(name: str) -> None:
            self.ran.append(name)

        self.note = note

    def wait(self, name: str, priority: int, **options: object) -> Job:
        """Enqueue a job of some priority."""
        return self.note.using(priority=priority, **options).enqueue(name)

    def order(self, mode: str = "sync", **options: object) -> list[str]:
        work(self.app, mode, concurrency=1, **options)
        return self.ran
