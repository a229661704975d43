"""Retention: how long what has ended is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dibs.model.times import SECOND, Duration, duration, in_seconds


@dataclass(frozen=True)
class Retention:
    """How long the ended jobs of a queue are kept before workers prune them.

    Example:
        >>> print(Retention(dead=timedelta(days=30)))
        dead letters kept for 2592000 s
    """

    dead: Duration | None = None
    """Seconds or timedelta from the death of a job until it is purged. Default None: kept until
    somebody purges or replays it."""

    def __post_init__(self) -> None:
        """Check the values, and keep durations as `timedelta`.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        if self.dead is not None:
            micros = duration(self.dead, "retention dead", minimum=0.001)
            object.__setattr__(self, "dead", timedelta(microseconds=micros))

    def __str__(self) -> str:
        """Say it in words."""
        micros = self.dead_micros
        if micros is None:
            return "dead letters kept until purged"
        return f"dead letters kept for {in_seconds(micros / SECOND)} s"

    @property
    def dead_micros(self) -> int | None:
        """`dead` in microseconds."""
        return None if self.dead is None else duration(self.dead, "retention dead")
