"""A job that a worker holds, and what tells it from all others."""

from __future__ import annotations

from typing import NamedTuple

from dibs.model.lifecycle import Claim


class Claimed(NamedTuple):
    """A job that a claim took from its line, as the worker needs it."""

    id: int
    kind: str
    queue: str
    priority: int
    args: str
    """JSON text."""
    claim: int | None
    """None where the worker doesn't know the kind, or the kind is paused: the job is blocked, and
    not the worker's."""
    attempt: int | None
    max_attempts: int
    crashes: int
    scheduled_at: int
    created_at: int
    started_at: int
    timeout: int | None
    """Microseconds; 0 for none, None for that of the kind or queue."""
    retry: str | None
    """Its own rules for retries, as JSON; None for those of its kind."""
    limits: str | None
    """What it needs of its limits, as JSON; None where it has none."""
    rank: int
    """Of two jobs that a worker holds the one of higher rank starts first."""
    worker: str
    """Who took it."""
    queue_timeout: int | None = None
    """Microseconds; None where the queue's policy has none."""
    counted: bool = False
    """Whether it holds slots."""

    @property
    def ticket(self) -> Claim:
        """The right to settle this attempt."""
        if self.claim is None or self.attempt is None:
            raise ValueError(f"job {self.id} was blocked, not claimed")
        return Claim(
            self.id, self.claim, self.worker, self.attempt, self.max_attempts, self.counted
        )


Key = tuple[int, int | None]
"""A job's id and the number of its claim: what tells the claims of one worker apart."""


def key_of(job: Claimed) -> Key:
    """Return what tells this attempt from every other of its worker."""
    return (job.id, job.claim)
