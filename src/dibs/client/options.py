"""The options of an enqueue: defaults of the handler, overridden call by call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.job import NewJob, Priority, check_max_attempts, check_name, check_priority
from dibs.model.times import Duration, duration, to_micros


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


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options."""

    queue: str = "default"
    priority: int = Priority.LOW
    max_attempts: int = 5
    delay: int = 0
    scheduled_at: int | None = None

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
        if "max_attempts" in overrides:
            changes["max_attempts"] = check_max_attempts(overrides["max_attempts"])
        if "delay" in overrides and "scheduled_at" in overrides:
            raise InvalidJobError("delay and scheduled_at are given both; give one of them")
        if "delay" in overrides:
            changes |= {"delay": _delay(overrides["delay"]), "scheduled_at": None}
        if "scheduled_at" in overrides:
            changes |= {"delay": 0, "scheduled_at": to_micros(overrides["scheduled_at"])}
        return replace(self, **changes)  # type: ignore[arg-type]

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
        )


def _delay(value: Duration) -> int:
    try:
        return duration(value, "delay")
    except ConfigurationError as error:
        raise InvalidJobError(str(error)) from error
