"""A database with jobs in every place, and workers that live and that are dead."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dibs import Dibs, State
from dibs.model.job import DeadReason, NewJob
from dibs.model.lifecycle import Bury, Claim, Failed, Finish
from dibs.model.lines import Demand, Serving
from dibs.model.schedule import ScheduleSpec
from dibs.model.ticks import Missed, Overlap
from dibs.model.timing import Timing
from dibs.store.ops.claim import job_claim
from dibs.store.ops.declarations import schedule_declare
from dibs.store.ops.schedules import schedule_create, schedule_pause, schedule_update
from dibs.store.ops.settle import job_settle
from dibs.store.ops.ticks import schedule_run
from dibs.store.ops.workers import worker_beat
from tests.support.database import query

SERVING = Serving(("default",))
BOOM = Failed("ValueError", "boom", "traceback")
LEASE = 30_000_000
SPEC = ScheduleSpec(Timing(every=30), NewJob("mail", "{}"), missed=Missed.all(9))
BUSY = ScheduleSpec(Timing(every=30), NewJob("mail", "{}"), overlap=Overlap.CANCEL_PREVIOUS)
NOBODY = 99
"""The id of a job that is gone."""


@dataclass
class World:
    """Who is where; made by `World(url)`, and closed by whoever made it."""

    url: str
    now: datetime = datetime(2024, 5, 2, 12, tzinfo=UTC)
    held: list[Claim] = field(default_factory=list)
    """What worker `w` holds; it lives."""
    stale: list[Claim] = field(default_factory=list)
    """What worker `gone` holds; its lease has run out."""
    ready: list[int] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    """Scheduled, and to be promoted."""
    dead: list[int] = field(default_factory=list)
    ended: int = 0
    """A job that is completed."""

    def __post_init__(self) -> None:
        self.app = Dibs(self.url, clock=lambda: self.now)
        self.app.migrate()
        mail = self.app.job(kind="mail")(_nothing)
        strange = self.app.job(kind="strange")(_nothing)
        gone, mine, ended = self._enqueue(mail, 3), self._enqueue(mail, 6), self._enqueue(mail, 2)
        self._run(worker_beat("gone", SERVING, ["mail"], 10, {}, LEASE))
        self.stale = self._claim("gone", len(gone))
        self.held = self._claim("w", len(mine))
        first, second = self._claim("w", len(ended))
        self._run(
            job_settle(
                [
                    Finish(first, State.COMPLETED),
                    Bury(second, DeadReason.ATTEMPTS_EXHAUSTED, BOOM),
                ]
            )
        )
        self.dead, self.ended = [second.job_id], first.job_id
        self._enqueue(strange, 2)
        self._claim("w", 2)  # blocks them
        key = {"idempotency_key": "over before long", "idempotency_period": 10}
        self._enqueue(mail, 1, delay=3600, **key)
        self.due = self.app.enqueue_many([mail.using(delay=10).request() for _ in range(2)])
        self.app.enqueue_many([mail.using(delay=3600).request()])
        for priority in (20, 5, 0):
            self.ready += self._enqueue(mail, 2, priority=priority)
        self._schedule()
        insert = "INSERT INTO dibs_notes (job_id, written_at, note) VALUES"
        query(self.url, f"{insert} ({NOBODY}, 0, 'seen')")
        long_ago = "(1, 'w', 'default', 'mail', 0, 'completed', 1, 0, 0)"
        query(self.url, f"INSERT INTO dibs_counters VALUES {long_ago}")
        for _ in range(4):
            self.now += timedelta(seconds=15)
            self._run(worker_beat("w", SERVING, ["mail"], 10, {}, LEASE))
        self.now += timedelta(seconds=1)

    def _schedule(self) -> None:
        """Have schedules that tick, one that is paused, and one that was edited."""
        self._run(schedule_create("hourly", SPEC))
        self._run(schedule_create("busy", BUSY))
        self._run(schedule_run("busy"))
        self._run(schedule_create("paused", SPEC))
        self._run(schedule_pause("paused", "why", "me"))
        self._run(schedule_declare({"edited": SPEC}, ["mail"]))
        self._run(schedule_update("edited", lambda _: BUSY))
        self._run(schedule_pause("edited", None, None))

    def _run(self, operation: Any) -> Any:
        return self.app.store.run(operation)

    def _enqueue(self, handler: Any, count: int, **options: Any) -> list[int]:
        return self.app.enqueue_many([handler.using(**options).request() for _ in range(count)])

    def _claim(self, worker: str, count: int) -> list[Claim]:
        found = self._run(job_claim(worker, SERVING, ["mail"], Demand(count)))
        return [job.ticket for job in found.jobs if job.claim is not None]


def _nothing() -> None:
    """Never runs: only places matter here."""
