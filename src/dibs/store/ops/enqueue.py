"""Storing new jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dibs.model.job import NewJob, State
from dibs.model.uses import uses_to_json
from dibs.store.statement import Row, Rows, Statement, Steps, operation

CHUNK = 10_000
"""Jobs per statement."""

COLUMNS = (
    "kind", "queue", "priority", "args", "max_attempts", "scheduled_at", "delay", "timeout",
    "retry", "limits", "turn",
)  # fmt: skip
"""What statements are given of new jobs."""


class Stored(NamedTuple):
    """What the database decided about a new job."""

    id: int
    scheduled_at: int
    created_at: int
    state: State


@operation()
def job_enqueue(jobs: Sequence[NewJob]) -> Steps[list[Stored]]:
    """Store `jobs`, all or none, and return what became of each, in the order given."""
    stored: list[Stored] = []
    alone = len(jobs) <= CHUNK
    # None, too, takes a statement: runners need one.
    for start in range(0, max(1, len(jobs)), CHUNK):
        table = Rows(COLUMNS, [row_of(job) for job in jobs[start : start + CHUNK]])
        rows = yield Statement("job_enqueue", {"jobs": table}, alone)
        stored += [Stored(id_, at, created, State(state)) for id_, at, created, state in rows]
    return stored


def row_of(job: NewJob) -> Row:
    """Return what a statement is given of a job, by `COLUMNS`."""
    return (
        job.kind, job.queue, job.priority, job.args, job.max_attempts, job.scheduled_at, job.delay,
        job.timeout, job.retry, uses_to_json(job.limits), job.turn,
    )  # fmt: skip
