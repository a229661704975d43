"""How long to wait before the next attempt: delays that grow, with jitter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from dibs.errors import ConfigurationError
from dibs.model.times import LONGEST, SECOND, Duration, duration

BackoffFunction = Callable[[int], Duration]
"""A delay of one's own: from the number of failures, 1 after the first, to seconds or timedelta."""

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay between attempts; made by `Backoff.exponential`, `.fixed` or `.linear`.

    The delay after the n-th failure is `base * factor ** (n - 1) + step * (n - 1)`, at most
    `maximum`, and then lowered by a random share of up to `jitter`, so that jobs that failed
    together don't come back together ("equal jitter", Marc Brooker, "Exponential Backoff And
    Jitter", 2015).
    """

    base: int = 15 * SECOND
    """Delay after the first failure, in microseconds."""
    factor: float = 2.0
    maximum: int = HOUR * SECOND
    """Longest delay, in microseconds."""
    jitter: float = 0.5
    """Largest share of the delay that chance may take away, 0 to 1."""
    step: int = 0
    """What is added for each failure after the first, in microseconds."""

    @classmethod
    def exponential(
        cls,
        base: Duration = 15,
        factor: float = 2.0,
        max: Duration = HOUR,  # noqa: A002 - the field's word, in the public API
        jitter: float = 0.5,
    ) -> Backoff:
        """Return a backoff that multiplies the delay by `factor` after each failure.

        Args:
            base: delay after the first failure, seconds or timedelta. Default 15 seconds.
            factor: growth per failure, at least 1. Default 2.
            max: longest delay, seconds or timedelta. Default one hour.
            jitter: largest share of the delay that chance may take away, 0 to 1. Default 0.5.

        Raises:
            ConfigurationError: a value is out of its range.

        Example:
            >>> Backoff.exponential(base=1, jitter=0).delay(3, Random())
            4000000
        """
        if not _number(factor) or not 1 <= factor < math.inf:
            raise ConfigurationError(f"factor={factor!r}: expected a number, at least 1")
        share = _share(jitter)
        return cls(duration(base, "base"), float(factor), duration(max, "max"), share)

    @classmethod
    def fixed(cls, delay: Duration, jitter: float = 0.0) -> Backoff:
        """Return a backoff that always waits the same.

        Args:
            delay: seconds or timedelta.
            jitter: largest share of the delay that chance may take away, 0 to 1. Default 0.

        Raises:
            ConfigurationError: a value is out of its range.

        Example:
            >>> Backoff.fixed(30).delay(3, Random())
            30000000
        """
        return cls(duration(delay, "delay"), 1.0, duration(LONGEST, "max"), _share(jitter))

    @classmethod
    def linear(
        cls,
        step: Duration,
        max: Duration = LONGEST,  # noqa: A002 - as in exponential
        jitter: float = 0.0,
    ) -> Backoff:
        """Return a backoff that grows by `step` with each failure: n times `step` after n.

        Args:
            step: delay after the first failure, and what each further one adds; seconds or
                timedelta.
            max: longest delay, seconds or timedelta. Default none.
            jitter: largest share of the delay that chance may take away, 0 to 1. Default 0.

        Raises:
            ConfigurationError: a value is out of its range.

        Example:
            >>> Backoff.linear(30).delay(3, Random())
            90000000
        """
        each = duration(step, "step")
        return cls(each, 1.0, duration(max, "max"), _share(jitter), each)

    def delay(self, failures: int, chance: Random) -> int:
        """Return the microseconds to wait after the `failures`-th failure (1 is the first)."""
        before = failures - 1
        try:
            full = min(self.base * self.factor**before + self.step * before, self.maximum)
        except OverflowError:
            full = self.maximum if self.base else 0
        return round(full * (1 - self.jitter * chance.random()))

    def to_json(self) -> list[float]:
        """Return the values as they are stored."""
        return [self.base, self.factor, self.maximum, self.jitter, self.step]

    @classmethod
    def from_json(cls, value: Any) -> Backoff:
        """Return the backoff that `to_json` stored.

        Raises:
            TypeError: it is something else.
            ValueError: so it is.
        """
        base, factor, maximum, jitter, step = value
        return cls(int(base), float(factor), int(maximum), float(jitter), int(step))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _share(jitter: float) -> float:
    if not _number(jitter) or not 0 <= jitter <= 1:
        raise ConfigurationError(f"jitter={jitter!r}: expected a number from 0 to 1")
    return float(jitter)
