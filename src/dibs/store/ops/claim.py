"""Handing ready jobs to a worker, from the front, in strict order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dibs.model.lifecycle import Claim
from dibs.store.statement import Statement, Steps, operation


class Claimed(NamedTuple):
    """A job that a claim took from its line, as the worker needs it."""

    id: int
    kind: str
    queue: str
    priority: int
    args: str
    """JSON text."""
    claim: int | None
    """None where the worker doesn't know the kind: the job is blocked, and not the worker's."""
    attempt: int | None
    max_attempts: int
    crashes: int
    scheduled_at: int
    created_at: int
    started_at: int

    @property
    def ticket(self) -> Claim:
        """The right to settle this attempt."""
        if self.claim is None or self.attempt is None:
            raise ValueError(f"job {self.id} was blocked, not claimed")
        return Claim(self.id, self.claim, self.attempt, self.max_attempts)


Key = tuple[int, int | None]
"""A job's id and the number of its claim."""


def key_of(job: Claimed) -> Key:
    """Return what tells this attempt from every other."""
    return (job.id, job.claim)


@operation()
def job_claim(
    worker: str, queues: Sequence[str], kinds: Sequence[str], count: int, *, admit: bool = False
) -> Steps[tuple[list[Claimed], int]]:
    """Take up to `count` ready jobs of `queues` for `worker`, in claim order.

    Jobs of kinds other than `kinds` are blocked, so that they hold up nobody, until a worker
    that knows their kind admits them; they are returned without a claim. Also returns how many
    blocked jobs were admitted: as many as asked for means that there may be more.

    Args:
        worker: who will run them.
        queues: the queues to take from; priority counts across them.
        kinds: the kinds that the worker can run.
        count: how many at most.
        admit: first make blocked jobs of `kinds` ready again, in the same transaction.
    """
    # Each name once: a queue named twice would hand out its head twice.
    names = {"queues": list(dict.fromkeys(queues)), "kinds": list(dict.fromkeys(kinds))}
    front = {**names, "count": count}
    admitted = (yield Statement("job_admit", front))[0][0] if admit else 0
    rows = yield Statement("job_claim", {"worker": worker, **front}, alone=not admit)
    return [Claimed(*row) for row in rows], admitted
