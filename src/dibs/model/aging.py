"""Aging: what has waited long counts as more urgent, by a rule that is read and never written.

    effective priority = min(ceiling, priority + steps * step)
    steps              = 0 while waited < after, then 1 + (waited - after) // every

All of a line age alike and the longest waiting stands first, so aging never changes the order
inside a line; it only moves whole lines against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from dibs.errors import ConfigurationError
from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN, Priority
from dibs.model.times import SECOND, Duration, duration, in_seconds

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Aging:
    """How waiting jobs of a queue gain priority, so that none of them starves.

    Example:
        >>> Aging(after=600, every=60, step=1, ceiling=20).effective(0, timedelta(minutes=12))
        3
    """

    after: Duration = 600
    """Seconds or timedelta until the first step. Default 10 minutes."""
    every: Duration = 60
    """Seconds or timedelta between two steps. Default a minute."""
    step: int = 1
    """Priority gained with each step, at least 1. Default 1."""
    ceiling: int = Priority.CRITICAL
    """No job ages beyond it, and one above it stays where it is. Default CRITICAL, 20."""

    def __post_init__(self) -> None:
        """Check the values, and keep durations as `timedelta`.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        for name, minimum in (("after", 0), ("every", 1e-6)):
            micros = duration(getattr(self, name), f"aging {name}", minimum=minimum)
            object.__setattr__(self, name, timedelta(microseconds=micros))
        _check("step", self.step, 1, PRIORITY_MAX - PRIORITY_MIN)
        _check("ceiling", self.ceiling, PRIORITY_MIN, PRIORITY_MAX)
        for name in ("step", "ceiling"):
            object.__setattr__(self, name, int(getattr(self, name)))

    def __str__(self) -> str:
        """Say it in words."""
        after, every = (in_seconds(micros / SECOND) for micros in self._micros)
        gain = f"+{self.step}"
        return f"aging: {gain} after {after} s, then {gain} every {every} s, up to {self.ceiling}"

    def effective(self, priority: int, waited: Duration) -> int:
        """Return the priority that counts after a job has `waited` since its scheduled_at."""
        delta = waited if isinstance(waited, timedelta) else timedelta(seconds=waited)
        return self.at(priority, delta // _MICROSECOND)

    def at(self, priority: int, waited: int) -> int:
        """Return the priority that counts after `waited` microseconds."""
        steps = self._steps(waited)
        if not steps or priority >= self.ceiling:
            return priority
        return min(self.ceiling, priority + steps * self.step)

    def _steps(self, waited: int) -> int:
        after, every = self._micros
        return 1 + (waited - after) // every if waited >= after else 0

    def needed(self, priority: int, effective: int) -> int | None:
        """Return the microseconds after which a job counts `effective` or more, None for never."""
        if effective <= priority:
            return 0
        if effective > self.ceiling:
            return None
        after, every = self._micros
        steps = -((priority - effective) // self.step)
        return after + (steps - 1) * every

    @cached_property
    def _micros(self) -> tuple[int, int]:
        """`after` and `every`; a claim asks for them once for every job that it looks at."""
        return duration(self.after, "aging after"), duration(self.every, "aging every")


def _check(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(
            f"aging {name}={value!r}: expected an integer from {least} to {most}"
        )
