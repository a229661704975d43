"""Retention: how long what has ended is kept, and how many of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from dibs.errors import ConfigurationError
from dibs.model.job import State
from dibs.model.times import SECOND, Duration, duration, in_seconds

WEEK = timedelta(days=7)
SHORTEST = 0.001
"""Seconds that something is kept at least."""
MOST = 1_000_000
"""The largest number of jobs that may be kept by count: they are counted at each look."""
ENDED = (State.COMPLETED, State.CANCELLED, State.DEAD)


@dataclass(frozen=True)
class Retention:
    """How long the ended jobs of a queue are kept, and how many, before workers prune them.

    Whichever comes first holds. The defaults hold for queues without a policy too.

    Example:
        >>> print(Retention(completed=3600, max_completed=10_000, dead=timedelta(days=30)))
        completed jobs kept for 3600 s, at most 10000; cancelled ones for 604800 s; dead letters \
for 2592000 s
    """

    completed: Duration | None = WEEK
    """Seconds or timedelta from the end of a completed job until it is pruned. Default 7 days;
    None for ever."""
    cancelled: Duration | None = WEEK
    """The same for cancelled jobs. Default 7 days; None for ever."""
    dead: Duration | None = None
    """Seconds or timedelta from the death of a job until it is purged. Default None: kept until
    somebody purges or replays it."""
    max_completed: int | None = None
    """How many completed jobs are kept, the latest, 0 to 1,000,000. Default None: any number."""
    max_cancelled: int | None = None
    """The same for cancelled jobs."""
    max_dead: int | None = None
    """The same for dead letters."""

    def __post_init__(self) -> None:
        """Check the values, and keep durations as `timedelta`.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        for state in ENDED:
            if (kept := getattr(self, state)) is not None:
                micros = duration(kept, f"retention {state}", minimum=SHORTEST)
                object.__setattr__(self, state, timedelta(microseconds=micros))
            most = self.most(state)
            if most is None:
                continue
            if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= MOST:
                raise ConfigurationError(
                    f"retention max_{state}={most!r}: expected a whole number from 0 to {MOST}"
                )

    def __str__(self) -> str:
        """Say it in words."""
        completed, cancelled, dead = (self._in_words(state) for state in ENDED)
        return f"completed jobs kept {completed}; cancelled ones {cancelled}; dead letters {dead}"

    def _in_words(self, state: State) -> str:
        micros, most = self.micros(state), self.most(state)
        for_ever = "until purged" if state is State.DEAD else "for ever"
        age = for_ever if micros is None else f"for {in_seconds(micros / SECOND)} s"
        return age if most is None else f"{age}, at most {most}"

    def micros(self, state: State) -> int | None:
        """Return for how many microseconds jobs are kept that ended in `state`; None for ever."""
        kept: Duration | None = getattr(self, state)
        return None if kept is None else duration(kept, f"retention {state}")

    def most(self, state: State) -> int | None:
        """Return how many jobs are kept that ended in `state`; None for any number."""
        most: int | None = getattr(self, f"max_{state}")
        return most


DEFAULT = Retention()
"""What holds where nobody has said anything."""


def retention_to_value(retention: Retention) -> dict[str, Any]:
    """Return as JSON values what differs from the default; times in seconds."""
    value = {}
    for field in fields(retention):
        kept = getattr(retention, field.name)
        if kept != getattr(DEFAULT, field.name):
            value[field.name] = kept / timedelta(seconds=1) if isinstance(kept, timedelta) else kept
    return value
