"""Operations of limits that fail at any statement, and what workers leave behind that die."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import ClaimLostError, Dibs, JobStateError, Limit, State
from dibs.model.job import DeadReason
from dibs.model.lifecycle import Bury, Claim, Failed, Finish, Requeue
from dibs.model.limits import Rule
from dibs.model.lines import Demand, Serving
from dibs.model.uses import use_of
from dibs.store.ops.claim import job_claim
from dibs.store.ops.claimed import Claimed
from dibs.store.ops.effects import job_complete
from dibs.store.ops.jobs import job_cancel
from dibs.store.ops.limit_rules import limit_configure, limit_declare, limit_reset
from dibs.store.ops.limit_turns import limit_tend, limit_wake
from dibs.store.ops.rooms import room_take
from dibs.store.ops.settle import job_settle
from dibs.store.ops.workers import job_rescue, worker_beat
from dibs.store.statement import Operation
from tests.support.breaking import Breaker, fail_everywhere, running
from tests.support.database import misplaced, query, reading

LIMITS = [Limit(name="slots", concurrency=4), Limit(name="rate", rate=1, burst=9)]
BOTH = Serving(("default", "narrow"))
LEASE = 30_000_000
TABLES = [
    f"dibs_{name}"
    for name in (
        "jobs", "ready", "blocked", "running", "dead", "history", "attempts", "slots", "arrivals",
        "limit_keys", "limits",
    )
]  # fmt: skip
"""What limits and the ends of jobs have to do with."""


@dataclass
class Crowd:
    """Jobs under limits in every place; some of a dead worker."""

    url: str
    now: datetime = datetime(2024, 5, 2, 12, tzinfo=UTC)
    held: list[Claimed] = field(default_factory=list)
    """What worker `w` runs; it lives."""
    ready: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = Dibs(self.url, clock=lambda: self.now)
        self.app.migrate()
        self.app.queues.configure("narrow", concurrency=2)
        work = self.app.job(kind="work", limits=LIMITS)(_nothing)
        self.run(limit_declare(self.app.limits.declared))
        self.run(worker_beat("gone", BOTH, ["work"], 10, {}, LEASE))
        self.app.enqueue_many([work.request(), work.using(queue="narrow").request()])
        self.start("gone", 2)
        for _ in range(4):
            self.now += timedelta(seconds=15)
            self.run(worker_beat("w", BOTH, ["work"], 10, {}, LEASE))
        self.app.enqueue_many([work.request(), work.using(queue="narrow").request()])
        self.held = self.start("w", 2)
        self.app.enqueue_many([work.request() for _ in range(3)])
        self.app.limits.configure("slots", concurrency=8)
        self.run(limit_wake())
        self.ready = [row[0] for row in query(self.url, "SELECT job_id FROM dibs_ready")]
        self.app.limits.configure("slots", concurrency=5)
        self.app.enqueue_many([work.request() for _ in range(4)])
        query(self.url, "INSERT INTO dibs_slots VALUES ('limit:[\"slots\"]', 99, 0, 1)")

    def start(self, worker: str, count: int) -> list[Claimed]:
        self.run(limit_wake())
        started = self.run(job_claim(worker, BOTH, ["work"], Demand(count))).jobs
        assert len(started) == count
        return started

    def run(self, operation: Operation[Any]) -> Any:
        return self.app.store.run(operation)


def _nothing() -> None:
    """What it does does not matter."""


def ticket(crowd: Crowd, number: int) -> Claim:
    return crowd.held[number].ticket


BOOM = Failed("ValueError", "boom", "traceback")
CASES: dict[str, Callable[[Crowd], Operation[Any]]] = {
    "job_claim": lambda _: job_claim("w", BOTH, ["work"], Demand(3), limited=True),
    "limit_wake": lambda _: limit_wake(),
    "limit_tend": lambda _: limit_tend(),
    "limit_configure": lambda _: limit_configure("slots", Rule(concurrency=9)),
    "limit_reset": lambda _: limit_reset("slots"),
    "room_take": lambda c: room_take(ticket(c, 0), use_of("rate", None, 1)),
    "limit_declare": lambda _: limit_declare({"slots": Rule(concurrency=7)}),
    "job_settle": lambda c: job_settle(
        [
            Finish(ticket(c, 0), State.COMPLETED),
            Requeue(ticket(c, 1), "release", None, counted=False, record=None),
        ]
    ),
    "job_settle, burying": lambda c: job_settle(
        [Bury(ticket(c, 0), DeadReason.ATTEMPTS_EXHAUSTED, BOOM)]
    ),
    "job_complete": lambda c: job_complete(ticket(c, 0), None),
    "job_cancel": lambda c: job_cancel(c.ready[0], None),
    "job_rescue": lambda _: job_rescue(3, LEASE),
}


# On SQLite the async face is the sync one in a thread.
@pytest.mark.parametrize(("engine", "face"), [("sqlite", "sync"), ("postgres", "async")])
@pytest.mark.parametrize("name", CASES)
def test_an_operation_that_fails_has_done_all_or_nothing(
    tables_url: str, name: str, face: str, monkeypatch: pytest.MonkeyPatch
):
    crowd = Crowd(tables_url)
    operation = CASES[name](crowd)
    with running(crowd.app, face) as run, reading(tables_url, TABLES) as rows:
        before = rows()
        breaker = Breaker(monkeypatch, operation.name)
        assert fail_everywhere(rows, run, operation, breaker) >= 2
        with suppress(ClaimLostError, JobStateError):
            run(operation)
        assert rows() != before, "it changed nothing: this case shows nothing"
        assert misplaced(tables_url) == []


def test_what_the_dead_left_behind_is_taken_up_and_every_job_ends(tables_url: str):
    crowd = Crowd(tables_url)
    with closing(crowd.app):
        crowd.run(job_settle([Finish(job.ticket, State.COMPLETED) for job in crowd.held]))
        crowd.app.limits.configure("rate", rate=1_000_000, burst=1_000_000)
        # `gone` runs two, and its lease is over.
        crowd.app.worker(queues=["default", "narrow"]).run(until_idle=True)
        crowd.now += timedelta(seconds=60)
        crowd.app.worker(queues=["default", "narrow"]).run(until_idle=True)
    assert query(tables_url, "SELECT COUNT(*) FROM dibs_history WHERE state = 'completed'") == [
        (11,)
    ]
    assert query(tables_url, "SELECT * FROM dibs_slots") == []
    assert misplaced(tables_url) == []
