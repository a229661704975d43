"""How long to wait before the next attempt: exponential backoff with jitter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from dibs.errors import ConfigurationError
from dibs.model.times import SECOND, Duration, duration


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that grows with every failed attempt; made by `Backoff.exponential`.

    The delay after the n-th failure is `base * factor ** (n - 1)`, at most `maximum`, and then
    lowered by a random share of up to `jitter`, so that jobs that failed together don't come
    back together ("equal jitter", Marc Brooker, "Exponential Backoff And Jitter", 2015).
    """

    base: int = 15 * SECOND
    """Delay after the first failure, in microseconds."""
    factor: float = 2.0
    maximum: int = 3600 * SECOND
    """Longest delay, in microseconds."""
    jitter: float = 0.5
    """Largest share of the delay that chance may take away, 0 to 1."""

    @classmethod
    def exponential(
        cls,
        base: Duration = 15,
        factor: float = 2.0,
        max: Duration = 3600,  # noqa: A002 - the field's word, in the public API
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
        if not 1 <= factor < math.inf:
            raise ConfigurationError(f"factor={factor!r}: expected a number, at least 1")
        if not 0 <= jitter <= 1:
            raise ConfigurationError(f"jitter={jitter!r}: expected a number from 0 to 1")
        return cls(duration(base, "base"), float(factor), duration(max, "max"), float(jitter))

    def delay(self, failures: int, chance: Random) -> int:
        """Return the microseconds to wait after the `failures`-th failure (1 is the first)."""
        try:
            full = min(self.base * self.factor ** (failures - 1), self.maximum)
        except OverflowError:
            full = self.maximum if self.base else 0
        return round(full * (1 - self.jitter * chance.random()))
