"""What the oracle keeps of a job and of a worker, and how each is to look from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dibs.model.job import AttemptOutcome, Job, State
from dibs.model.lifecycle import Claim
from dibs.model.times import from_micros
from dibs.store.ops.jobs import Attempt
from dibs.store.ops.workers import WorkerRecord
from tests.support.policy_oracle import Waiting

WAITING = {State.SCHEDULED, State.BLOCKED, State.READY}
ENDED = {State.COMPLETED, State.CANCELLED, State.DEAD}


@dataclass
class Entry:
    """One job."""

    id: int
    kind: str
    queue: str
    priority: int
    args: str
    max_attempts: int
    scheduled_at: int
    created_at: int
    state: State = State.READY
    attempt: int = 0
    crashes: int = 0
    number: int = 0
    """Of its current or last claim."""
    started_at: int | None = None
    finished_at: int | None = None
    worker: str | None = None
    result: str | None = None
    error: str | None = None
    reason: str | None = None
    cancel: str | None = None
    """Why somebody wants it cancelled while it runs, "" without a reason."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def turn(self) -> tuple[int, int, int]:
        return (-self.priority, self.scheduled_at, self.id)

    @property
    def waiting(self) -> Waiting:
        return Waiting(self.queue, self.priority, self.scheduled_at, self.id)

    @property
    def claim(self) -> Claim:
        return Claim(self.id, self.number, self.worker or "", self.attempt, self.max_attempts)

    def job(self) -> Job:
        """Return the job as callers are to see it where nothing ages."""
        return Job(
            id=self.id, kind=self.kind, queue=self.queue, priority=self.priority,
            effective_priority=self.priority, state=self.state, args=json.loads(self.args),
            attempt=self.attempt, max_attempts=self.max_attempts, crashes=self.crashes,
            scheduled_at=from_micros(self.scheduled_at), created_at=from_micros(self.created_at),
            started_at=None if self.started_at is None else from_micros(self.started_at),
            finished_at=None if self.finished_at is None else from_micros(self.finished_at),
            worker=self.worker, result=None if self.result is None else json.loads(self.result),
            error=self.error, reason=self.reason or self.cancel or None,
            cancelling=self.cancel is not None,
        )  # fmt: skip

    def told(self) -> list[Attempt]:
        """Return the attempts as callers are to see them: the last one by the job's own record."""
        ended = {State.RUNNING, State.COMPLETED, State.CANCELLED}
        job = self.job()
        if self.state not in ended or job.started_at is None:
            return self.attempts
        outcome = AttemptOutcome(self.state)
        last = Attempt(self.attempt, outcome, self.worker or "", job.started_at, job.finished_at)
        return [*self.attempts, last]

    def row(self) -> tuple[Any, ...]:
        """Return the job as the database is to tell it."""
        return (
            self.id, self.kind, self.queue, self.priority, str(self.state), self.args,
            self.attempt, self.max_attempts, self.crashes, self.scheduled_at, self.created_at,
            self.started_at, self.finished_at, self.worker, self.result, self.error,
            self.reason or self.cancel or None, self.cancel is not None,
        )  # fmt: skip

    def places(self) -> list[tuple[Any, ...]]:
        """Return the rows that the tables are to hold of it: table, id and a few columns."""
        line = (self.queue, self.priority, self.scheduled_at)
        if self.state in {State.COMPLETED, State.CANCELLED}:
            return [("history", self.id, *line, 0)]
        columns: dict[State, tuple[Any, ...]] = {
            State.READY: (*line, 0),
            State.BLOCKED: (*line, 0),
            State.SCHEDULED: (None, None, self.scheduled_at, 0),
            State.RUNNING: (self.worker, None, self.started_at, self.number),
            State.DEAD: (self.reason, None, self.finished_at, 0),
        }
        # The record keeps the number of the last claim that ended.
        number = self.number - (self.state is State.RUNNING)
        return [("jobs", self.id, *line, number), (str(self.state), self.id, *columns[self.state])]


@dataclass
class WorkerEntry:
    """One worker that has beaten."""

    record: WorkerRecord
    beat_at: int
    expires_at: int


def in_order(found: list[Entry], state: State) -> list[Entry]:
    """Return jobs in `state`, given in claim order, in the order that lists show them."""
    match state:
        case State.SCHEDULED:
            return sorted(found, key=lambda e: (e.scheduled_at, e.id))
        case State.RUNNING:
            return sorted(found, key=lambda e: (e.started_at, e.id))
        case State.DEAD:
            return sorted(found, key=lambda e: (e.finished_at, e.id), reverse=True)
        case State.COMPLETED | State.CANCELLED:
            return sorted(found, key=lambda e: e.id, reverse=True)
        case _:
            return found
