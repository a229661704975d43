"""The job: its states, its priority levels, and the record that callers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from dibs.errors import InvalidJobError
from dibs.model.unique import JobKey
from dibs.model.uses import Use

PRIORITY_MIN = -32768
PRIORITY_MAX = 32767
MAX_ATTEMPTS_LIMIT = 1_000_000
NAME_LIMIT = 200
"""Longest kind or queue name, in characters."""


class Priority(IntEnum):
    """Named priority levels; any integer from -32768 to 32767 may be used, higher runs first."""

    LOW = 0
    """Analytics, clean-up, reports. The default."""
    NORMAL = 5
    """Standard notifications, syncs."""
    HIGH = 10
    """Payments, important mail."""
    CRITICAL = 20
    """Password resets, security alerts."""


ByPriority = Mapping[int, int] | Mapping[Priority, int]
"""A count or weight for each priority; keys that are all of `Priority` have a type of their own."""


class State(StrEnum):
    """Where a job stands; `dibs.model.lifecycle` draws how it gets there."""

    SCHEDULED = "scheduled"
    """Waits for its time."""
    BLOCKED = "blocked"
    """Waits for its turn: something must come free or appear first."""
    READY = "ready"
    """May start now; waits for a worker."""
    RUNNING = "running"
    """Claimed by a worker."""
    COMPLETED = "completed"
    """Ended: its handler returned."""
    CANCELLED = "cancelled"
    """Ended: somebody, or the handler itself, called it off."""
    DEAD = "dead"
    """Ended: buried among the dead letters."""


WAITING = frozenset({State.SCHEDULED, State.BLOCKED, State.READY})
"""The states of a job that has not started."""


class DeadReason(StrEnum):
    """Why a job was buried."""

    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    """It failed `max_attempts` times."""
    GAVE_UP = "gave_up"
    """Its handler raised an error after which it was not to be tried again."""
    INVALID_ARGS = "invalid_args"
    """Its args no longer fit its handler, so no attempt can succeed."""
    WORKER_DIED = "worker_died"
    """Its workers died while running it, again and again."""
    TIMEOUT = "timeout"
    """It failed `max_attempts` times, and the last time it took too long."""
    UPSTREAM_FAILED = "upstream_failed"
    """In a workflow, a job that it depends on failed for good. Workflows are still to come: until
    then nothing is buried for it."""


class AttemptOutcome(StrEnum):
    """How an attempt ended, or that it has not."""

    RUNNING = "running"
    COMPLETED = "completed"
    """The handler returned."""
    CANCELLED = "cancelled"
    """The handler called its job off, or somebody did while it ran."""
    FAILED = "failed"
    """The handler raised, or could not be run."""
    TIMED_OUT = "timed_out"
    """It took longer than its timeout: failed, too."""
    SNOOZED = "snoozed"
    """The handler asked to be run again later; not counted."""
    RELEASED = "released"
    """Its worker stopped and gave the job back; not counted."""
    CRASHED = "crashed"
    """Its worker died; counted as a crash, not as an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as the database knew it at the moment of reading."""

    id: int
    kind: str
    """The registered name of its handler."""
    queue: str
    priority: int
    """Higher runs first."""
    effective_priority: int
    """What counts now: under aging a job that could start gains priority while it waits."""
    state: State
    args: dict[str, Any]
    """The payload as JSON values."""
    attempt: int
    """Attempts that count: the failed ones, and the current one while it runs."""
    max_attempts: int
    crashes: int
    """How often its worker died while running it; not counted as attempts."""
    scheduled_at: datetime
    """When it may, or might have, started; after a failure, when the next attempt may."""
    created_at: datetime
    started_at: datetime | None = None
    """Start of its current or last attempt."""
    finished_at: datetime | None = None
    worker: str | None = None
    """The id of the worker that runs it, or ran it last."""
    result: Any = None
    """What its handler returned, as JSON values."""
    error: str | None = None
    """The last error, if any attempt failed."""
    reason: str | None = None
    """Why it is blocked, cancelled or dead; while it runs, why it is to be cancelled."""
    cancelling: bool = False
    """Whether somebody asked to cancel it while it ran; its worker is told within a second."""
    duplicate: bool = False
    """Whether the enqueue that returned it found it under its key instead of storing a new job."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A checked job on its way into the store."""

    kind: str
    args: str
    """The payload as JSON text."""
    queue: str = "default"
    priority: int = Priority.LOW
    max_attempts: int = 5
    delay: int = 0
    """Microseconds from the moment of enqueueing; ignored where `scheduled_at` is given."""
    scheduled_at: int | None = None
    """Microseconds since 1970 UTC, or None for now plus `delay`."""
    timeout: int | None = None
    """Microseconds that an attempt may take, 0 for no limit; None for what the kind or the queue
    says."""
    retry: str | None = None
    """Rules for retries as JSON; None for those of the kind."""
    unique: JobKey | None = None
    idempotency: JobKey | None = None
    limits: tuple[Use, ...] = ()
    """What it needs of its limits before it may start."""

    @property
    def keys(self) -> tuple[JobKey, ...]:
        """The keys that no other job may hold; the first that another holds decides."""
        return tuple(key for key in (self.idempotency, self.unique) if key is not None)

    @property
    def turn(self) -> str | None:
        """The key under which it waits when it is due; None where it is ready at once."""
        return self.limits[0].key if self.limits else None


def check_priority(priority: int) -> int:
    """Return `priority` as a plain int.

    Raises:
        InvalidJobError: not an integer, or out of range.
    """
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise InvalidJobError(f"priority={priority!r}: expected an integer")
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise InvalidJobError(
            f"priority={priority}: expected an integer from {PRIORITY_MIN} to {PRIORITY_MAX}"
        )
    return int(priority)


def range_in_words(lowest: int, highest: int) -> str:
    """Return a range of priorities for people.

    Example:
        >>> range_in_words(10, PRIORITY_MAX)
        'from 10 up'
    """
    if highest < PRIORITY_MAX:
        return f"up to {highest}" if lowest == PRIORITY_MIN else f"from {lowest} to {highest}"
    return "all" if lowest == PRIORITY_MIN else f"from {lowest} up"


def check_max_attempts(max_attempts: int) -> int:
    """Return `max_attempts`.

    Raises:
        InvalidJobError: not an integer, or not between 1 and a million.
    """
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int):
        raise InvalidJobError(f"max_attempts={max_attempts!r}: expected an integer")
    if not 1 <= max_attempts <= MAX_ATTEMPTS_LIMIT:
        raise InvalidJobError(f"max_attempts={max_attempts}: expected 1 to {MAX_ATTEMPTS_LIMIT}")
    return max_attempts


def check_name(value: str, what: str) -> str:
    """Return a kind's or queue's name.

    Raises:
        InvalidJobError: not a string, empty, too long, or with control characters or outer blanks.
    """
    if not isinstance(value, str) or not value or value != value.strip():
        raise InvalidJobError(f"{what}={value!r}: expected a name without blanks around it")
    if len(value) > NAME_LIMIT or not value.isprintable():
        raise InvalidJobError(
            f"{what}={value!r}: expected at most {NAME_LIMIT} printable characters"
        )
    return value
