"""The options of an enqueue: defaults of the handler, overridden call by call."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from dibs.client.uniqueness import unique_changes
from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.job import NewJob, Priority, check_max_attempts, check_name, check_priority
from dibs.model.limits import Limit, check_number
from dibs.model.retry import Retry, retry_to_json
from dibs.model.timeouts import NO_TIMEOUT, SHORTEST_TIMEOUT
from dibs.model.times import SECOND, Duration, duration, to_micros
from dibs.model.unique import JobKey, Unique, idempotency
from dibs.model.uses import Use

IDEMPOTENCY_PERIOD = 24 * 3600 * SECOND
"""Microseconds that an idempotency key is known, by default."""


class Overrides(TypedDict, total=False):
    """What a single enqueue may say differently from the handler's declaration."""

    queue: str
    """Which queue it goes to."""
    priority: int
    """From -32768 to 32767; higher runs first."""
    max_attempts: int
    """How often it may be tried, 1 to 1,000,000."""
    delay: Duration
    """Seconds or timedelta from now until it may start."""
    scheduled_at: datetime
    """Aware moment from which it may start; not together with `delay`."""
    timeout: Duration | None
    """Seconds or timedelta that an attempt may take; None for no limit."""
    retry: Retry
    """Rules of its own for retries; their backoff cannot be a function."""
    unique: Unique | None
    """Which other jobs there may not be beside it; None switches off what the handler says."""
    debounce: Duration
    """Start so long after the last call; a call replaces the job that waits."""
    throttle: Duration
    """At most one job in so long; further calls store nothing."""
    idempotency_key: str
    """The same key for the same kind returns the same job, even after that one ended."""
    idempotency_period: Duration
    """How long the idempotency key is known. Default 24 hours."""
    cost: int
    """How much of each rate it takes, 1 to 1,000,000. Default 1."""


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options."""

    queue: str = "default"
    priority: int = Priority.LOW
    max_attempts: int = 5
    delay: int = 0
    scheduled_at: int | None = None
    timeout: int | None = None
    retry: Retry | None = None
    unique: Unique | None = None
    """What a debounce or throttle comes to, too."""
    debounced: bool = False
    """Whether `delay` is that of a debounce."""
    idempotency_key: str | None = None
    idempotency_period: int = IDEMPOTENCY_PERIOD
    cost: int = 1
    limits: tuple[Limit, ...] = ()
    """Of the kind, with their names."""

    def with_(self, overrides: Overrides) -> Options:
        """Return these options with `overrides` checked and applied.

        Raises:
            InvalidJobError: an unknown option, a value out of its range, or a naive datetime.
        """
        if unknown := overrides.keys() - Overrides.__annotations__.keys():
            known = ", ".join(Overrides.__annotations__)
            raise InvalidJobError(f"unknown option {min(unknown)!r}: expected one of {known}")
        changes: dict[str, object] = {}
        if "queue" in overrides:
            changes["queue"] = check_name(overrides["queue"], "queue")
        if "priority" in overrides:
            changes["priority"] = check_priority(overrides["priority"])
        if "retry" in overrides:
            changes |= _retry(overrides["retry"])
        if "max_attempts" in overrides:
            changes["max_attempts"] = check_max_attempts(overrides["max_attempts"])
        if "cost" in overrides:
            check_number(overrides["cost"], "cost", some=True)
            changes["cost"] = overrides["cost"]
        if "timeout" in overrides:
            changes["timeout"] = _timeout(overrides["timeout"])
        changes |= unique_changes(self, overrides) | start_of(overrides)
        changed = replace(self, **changes)  # type: ignore[arg-type]
        if changed.debounced and overrides.keys() & {"delay", "scheduled_at"}:
            raise InvalidJobError(
                "debounce is a delay: leave out delay and scheduled_at, or switch it off by "
                "unique=None"
            )
        return changed

    def job(self, kind: str, args: str) -> NewJob:
        """Return a new job of `kind` with checked `args` and these options."""
        return NewJob(
            kind=kind,
            args=args,
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.max_attempts,
            delay=self.delay,
            scheduled_at=self.scheduled_at,
            timeout=self.timeout,
            retry=None if self.retry is None else retry_to_json(self.retry),
            unique=None if self.unique is None else self.unique.job_key(kind, self.queue, args),
            idempotency=self._idempotency(kind),
            limits=self._uses(kind, args) if self.limits else (),
        )

    def _uses(self, kind: str, args: str) -> tuple[Use, ...]:
        values = json.loads(args)
        return tuple(limit.use(kind, values, self.cost) for limit in self.limits)

    def _idempotency(self, kind: str) -> JobKey | None:
        key = self.idempotency_key
        return None if key is None else idempotency(key, kind, self.idempotency_period)


def start_of(overrides: Overrides) -> dict[str, int | None]:
    """Return `delay` and `scheduled_at` in microseconds, if one of them is given.

    Raises:
        InvalidJobError: both are, a naive datetime, or no length of time.
    """
    if "delay" in overrides and "scheduled_at" in overrides:
        raise InvalidJobError("delay and scheduled_at are given both; give one of them")
    if "delay" in overrides:
        return {"delay": _micros(overrides["delay"], "delay"), "scheduled_at": None}
    if "scheduled_at" in overrides:
        return {"delay": 0, "scheduled_at": to_micros(overrides["scheduled_at"])}
    return {}


def _retry(retry: Retry) -> dict[str, object]:
    if not isinstance(retry, Retry):
        raise InvalidJobError(
            f"retry={retry!r}: expected a Retry, for example Retry(backoff=Backoff.linear(30))"
        )
    most = retry.max_attempts
    return {"retry": retry} | ({} if most is None else {"max_attempts": most})


def _timeout(value: Duration | None) -> int:
    return NO_TIMEOUT if value is None else _micros(value, "timeout", SHORTEST_TIMEOUT)


def _micros(value: Duration, name: str, minimum: float = 0.0) -> int:
    try:
        return duration(value, name, minimum=minimum)
    except ConfigurationError as error:
        raise InvalidJobError(str(error)) from error
