"""How much work a worker may hold beyond what runs, so that round trips don't starve it.

Claims cost a round trip and a commit, so a worker with fast jobs must claim ahead; but what it
holds is lost to the others and to the order. The measure is time: at most `HORIZON` seconds of
work at the rate at which jobs ended lately. Slow jobs get no prefetch at all.
"""

from __future__ import annotations

HORIZON = 0.05
"""Seconds of work held ahead, at most."""
WINDOW = 0.01
"""Seconds over which a rate is measured."""
MOST = 500
"""Jobs held ahead, at most."""
OVERDUE = 0.25
"""Seconds after which held jobs that did not start go back: the rate was a bad promise."""


class Prefetch:
    """Follows the rate of ended jobs; times are seconds of any monotonic clock."""

    def __init__(self, now: float) -> None:
        """Begin with no prefetch."""
        self.allowed = 0
        self._rate = 0.0
        self._ended = 0
        self._since = now

    def ended(self, count: int, now: float) -> None:
        """Note that `count` jobs ended."""
        self._ended += count
        elapsed = now - self._since
        if elapsed < WINDOW:
            return
        self._rate = (self._rate + self._ended / elapsed) / 2
        self.allowed = min(int(self._rate * HORIZON), MOST)
        self._ended, self._since = 0, now

    def reset(self, now: float) -> None:
        """Forget the rate: what it promised did not come true."""
        self.allowed = 0
        self._rate = 0.0
        self._ended, self._since = 0, now
