"""Reading jobs, changing those that wait, and asking for the end of those that run."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dibs.errors import JobNotFoundError, JobStateError
from dibs.model.job import WAITING, AttemptOutcome, Job, State
from dibs.model.lines import Demand, Serving
from dibs.model.queues import policy_from_json
from dibs.model.times import from_micros
from dibs.model.uses import in_words
from dibs.store.ops.front import read_front
from dibs.store.statement import Row, RowList, Statement, Steps, operation

TRIES = 10
"""How often to look when a job moves between reading and changing it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The record of one attempt."""

    attempt: int
    """Its number; one that does not count, as a snoozed or a released one, shares it with the
    next."""
    outcome: AttemptOutcome
    worker: str
    started_at: datetime
    finished_at: datetime | None = None
    """None while it runs."""
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    """Its last 20,000 characters."""


_TELLS_LAST = frozenset({State.RUNNING, State.COMPLETED, State.CANCELLED})
"""The states in which a job's own record tells of its last attempt."""
_AGES = frozenset({State.READY, State.BLOCKED})
"""The states in which a job gains priority: its time has come, and it waits."""


def moment(micros: int | None) -> datetime | None:
    """Return a moment that may not have come."""
    return None if micros is None else from_micros(micros)


def _value(text: str) -> Any:
    """Return JSON as values; a row that somebody else wrote must not hide all others."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _job(row: Row) -> Job:
    (
        id_, kind, queue, priority, state, args, attempt, max_attempts, crashes, scheduled_at,
        created_at, started_at, finished_at, worker, result, error, reason, cancelling,
        policy, now,
    ) = row  # fmt: skip
    return Job(
        id=id_,
        kind=kind,
        queue=queue,
        priority=priority,
        effective_priority=(
            policy_from_json(policy).at(priority, now - scheduled_at)
            if state in _AGES
            else priority
        ),
        state=State(state),
        args=_value(args),
        attempt=attempt,
        max_attempts=max_attempts,
        crashes=crashes,
        scheduled_at=from_micros(scheduled_at),
        created_at=from_micros(created_at),
        started_at=moment(started_at),
        finished_at=moment(finished_at),
        worker=worker,
        result=None if result is None else _value(result),
        error=error,
        reason=in_words(reason) if state == State.BLOCKED and reason else reason,
        cancelling=bool(cancelling),
    )


def read_job(job_id: int, *, alone: bool = False) -> Generator[Statement, RowList, Job]:
    """Read one job, live or ended.

    Raises:
        JobNotFoundError: no job has this id.
    """
    rows = yield Statement("jobs_load", {"ids": [job_id]}, alone)
    if not rows:
        raise JobNotFoundError(job_id)
    return _job(rows[0])


def read_jobs(ids: list[int]) -> Generator[Statement, RowList, dict[int, Job]]:
    """Read many jobs, live or ended; those that are not there are left out."""
    return {row[0]: _job(row) for row in (yield Statement("jobs_load", {"ids": ids}))}


@operation(reads=True)
def job_get(job_id: int) -> Steps[Job]:
    """Return one job, live or ended.

    Raises:
        JobNotFoundError: no job has this id.
    """
    return (yield from read_job(job_id, alone=True))


@operation(reads=True)
def job_attempts(job_id: int) -> Steps[list[Attempt]]:
    """Return the records of a job's attempts, oldest first.

    Raises:
        JobNotFoundError: no job has this id.
    """
    job = yield from read_job(job_id)
    rows = yield Statement("job_attempts", {"id": job_id})
    found = [_attempt(*row) for row in rows]
    if job.state in _TELLS_LAST and job.started_at is not None:
        last = AttemptOutcome(job.state)
        found.append(Attempt(job.attempt, last, job.worker or "", job.started_at, job.finished_at))
    return found


def _attempt(
    attempt: int, outcome: str, worker: str, started_at: int, finished_at: int, *error: str | None
) -> Attempt:
    times = from_micros(started_at), from_micros(finished_at)
    return Attempt(attempt, AttemptOutcome(outcome), worker, *times, *error)


@operation(reads=True)
def job_list(
    state: State | None, kind: str | None, queue: str | None, limit: int
) -> Steps[list[Job]]:
    """Return up to `limit` jobs; ready ones in the order they will start, most newest first."""
    filters = {"kind": kind, "queue": queue, "limit": limit}
    ended = {"state": str(state) if state else None, **filters}
    if state is None:
        live = yield Statement("jobs_page_live", filters)
        rows = live + (yield Statement("jobs_page_ended", ended))
        ids = sorted({row[0] for row in rows}, reverse=True)[:limit]
    elif state in {State.COMPLETED, State.CANCELLED}:
        ids = [row[0] for row in (yield Statement("jobs_page_ended", ended))]
    elif state is State.READY:
        ids = yield from _next_ids(kind, queue, limit)
    else:
        ids = [row[0] for row in (yield Statement(f"jobs_page_{state}", filters))]
    records = yield from read_jobs(ids)
    found = [records[id_] for id_ in ids if id_ in records]
    return [job for job in found if state in {None, job.state}]


def _next_ids(
    kind: str | None, queue: str | None, limit: int
) -> Generator[Statement, RowList, list[int]]:
    """Return which ready jobs are next for a worker of all queues, or of one."""
    if queue is None:
        names = tuple(row[0] for row in (yield Statement("queue_names", {})))
    else:
        names = (queue,)
    serving = Serving(names)
    front = yield from read_front(serving, limit, limit, kind=kind, paused=True)
    return [turn.job_id for turn in front.order(serving, Demand(limit), {})]


def _change(
    job_id: int, verb: str, by_state: Mapping[State, Statement], allowed: str
) -> Generator[Statement, RowList, Job]:
    """Change a job by the statement for its state, and return it as it is then.

    The statement finds the job in a place of that state, or brings no row: then the job has
    moved since it was read, and its new state decides again.
    """
    for _ in range(TRIES):
        job = yield from read_job(job_id)
        if job.state not in by_state:
            raise JobStateError(job_id, job.state, verb, allowed)
        if (yield by_state[job.state]):
            return (yield from read_job(job_id))
    raise JobStateError(job_id, "being moved again and again", verb, "at rest; try again")


@operation()
def job_cancel(job_id: int, reason: str | None) -> Steps[Job]:
    """Cancel a waiting job, or ask the worker of a running one to; return it as it is then.

    Raises:
        JobNotFoundError: no job has this id.
        JobStateError: it has ended.
    """
    by_state = dict.fromkeys(WAITING, Statement("job_cancel", {"id": job_id, "reason": reason}))
    by_state[State.RUNNING] = Statement("job_call_off", {"id": job_id, "reason": reason or ""})
    return (yield from _change(job_id, "cancel", by_state, "scheduled, blocked, ready or running"))


@operation()
def job_reprioritize(job_id: int, priority: int) -> Steps[Job]:
    """Move a waiting job to the line of `priority` and return it as it stands there.

    Raises:
        JobNotFoundError: no job has this id.
        JobStateError: it runs, or has ended.
    """
    statement = Statement("job_reprioritize", {"id": job_id, "priority": priority})
    by_state = dict.fromkeys(WAITING, statement)
    return (yield from _change(job_id, "reprioritize", by_state, "scheduled, blocked or ready"))


@operation()
def job_reschedule(job_id: int, scheduled_at: int | None, delay: int) -> Steps[Job]:
    """Give a waiting job another time and return it as it is then.

    Args:
        job_id: which job.
        scheduled_at: when it may start, in microseconds since 1970 UTC; None for now plus `delay`.
        delay: microseconds.

    Raises:
        JobNotFoundError: no job has this id.
        JobStateError: it runs, or has ended.
    """
    when = {"id": job_id, "scheduled_at": scheduled_at, "delay": delay}
    by_state = dict.fromkeys(WAITING, Statement("job_reschedule", when))
    return (yield from _change(job_id, "reschedule", by_state, "scheduled, blocked or ready"))
