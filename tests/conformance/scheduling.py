"""An app with schedules on a clock that the test moves, and what its handler was called with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dibs import Schedule, Tick
from tests.conformance.face import Face
from tests.conformance.notes import TEN, Clock

HOUR = 3600
DAY = 24 * HOUR


class Agenda:
    """A handler `report`, the schedules that make jobs for it, and the words of those that ran."""

    def __init__(self, face: Face, clock: Clock) -> None:
        self.face = face
        self.clock = clock
        self.ran: list[str] = []
        self.report = face.handler(self._report, kind="report", queue="reports")
        self.desk: Any = face.schedules

    async def _report(self, word: str = "-") -> None:
        self.ran.append(word)

    def declare(self, *args: Any, **options: Any) -> None:
        self.face.target.schedule(*args, **options)(self.report.target)

    def start(self) -> None:
        """Start a worker, which does what is due and stops."""
        self.face.work()

    def after(self, seconds: float) -> list[str]:
        """Start a worker so much later; return what it ran."""
        self.clock.move(seconds)
        self.ran.clear()
        self.start()
        return sorted(self.ran)

    def ticks(self, name: str = "report") -> list[tuple[str, str, int]]:
        """Return the history of a schedule: hours after ten, outcome, how many passed."""
        found: list[Tick] = self.desk.ticks(name)
        assert [tick.at for tick in found] == sorted((tick.at for tick in found), reverse=True)
        return [(str(tick.at - TEN), str(tick.outcome), tick.passed) for tick in found]

    def get(self, name: str = "report") -> Schedule:
        found: Schedule = self.desk.get(name)
        return found

    def next(self, name: str = "report") -> timedelta | None:
        """Return how long after ten a schedule ticks next."""
        at: datetime | None = self.get(name).next_at
        return None if at is None else at - TEN
