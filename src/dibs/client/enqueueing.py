"""Storing new jobs through the app: one, or many at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from dibs.errors import InvalidJobError
from dibs.model.job import Job, NewJob, State
from dibs.model.times import from_micros
from dibs.store.ops.enqueue import Stored, job_enqueue
from dibs.store.ops.keys import job_enqueue_keyed, key_holder
from dibs.store.statement import Operation, Steps, operation


def checked(requests: Iterable[NewJob]) -> list[NewJob]:
    """Return the requests of `enqueue_many`.

    Raises:
        InvalidJobError: something else is among them.
    """
    jobs = list(requests)
    for job in jobs:
        if not isinstance(job, NewJob):
            raise InvalidJobError(f"{job!r}: expected what handler.request(…) returns")
    return jobs


def enqueue_one(job: NewJob) -> Operation[Job]:
    """Return the operation that stores one job."""
    return replace(_enqueue_one(job), nudges=lambda stored: {stored.queue})


@operation()
def _enqueue_one(job: NewJob) -> Steps[Job]:
    if not job.keys:
        stored = yield from job_enqueue([job]).steps()
        return _record(job, stored[0])
    [placed] = yield from job_enqueue_keyed([job]).steps()
    if placed.stored is not None:
        return _record(job, placed.stored)
    return replace((yield from key_holder(placed.id, placed.key).steps()), duplicate=True)


def enqueue_many(jobs: list[NewJob]) -> Operation[list[int]]:
    """Return the operation that stores many jobs, all or none, and returns their ids."""

    @operation()
    def stored_ids() -> Steps[list[int]]:
        if not any(job.keys for job in jobs):
            stored = yield from job_enqueue(jobs).steps()
            return [job.id for job in stored]
        placed = yield from job_enqueue_keyed(jobs).steps()
        return [job.id for job in placed if not job.skipped]

    return replace(stored_ids(), nudges=lambda _: {job.queue for job in jobs})


def _record(job: NewJob, stored: Stored) -> Job:
    return Job(
        id=stored.id,
        kind=job.kind,
        queue=job.queue,
        priority=job.priority,
        effective_priority=job.priority,
        state=State(stored.state),
        args=json.loads(job.args),
        attempt=0,
        max_attempts=job.max_attempts,
        crashes=0,
        scheduled_at=from_micros(stored.scheduled_at),
        created_at=from_micros(stored.created_at),
    )
