"""Slots: how many jobs a worker runs at once, and which of them wait for the urgent alone.

`Slots(10, {10: 2})`: two of ten slots are for jobs of priority 10 and more, so jobs below 10 use
eight at most. Reserved slots of several limits add up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dibs.model.job import PRIORITY_MIN
from dibs.model.lines import Demand


class Slots:
    """Counts jobs in slots, and those that a worker holds beyond."""

    def __init__(self, count: int, reserve: Mapping[int, int]) -> None:
        """Make `count` slots, of which `reserve` keeps some for priorities from a limit on."""
        self.free = count
        """Slots that nobody uses."""
        self.lowest = PRIORITY_MIN
        """The lowest priority that a free slot would take."""
        self._most = {
            limit: count - sum(kept for other, kept in reserve.items() if other >= limit)
            for limit in reserve
        }
        self._below = dict.fromkeys(reserve, 0)

    def room(self, priority: int) -> int:
        """Return how many more jobs of `priority` could start now.

        Example:
            >>> slots = Slots(10, {10: 2})
            >>> slots.room(0), slots.room(10)
            (8, 10)
        """
        rooms = [
            self._most[limit] - below for limit, below in self._below.items() if priority < limit
        ]
        return max(0, min([self.free, *rooms]))

    def hold(self, held: Mapping[int, int]) -> None:
        """Let the jobs that a worker holds, so many of each priority, use slots while some fit.

        The others of them have not started: it claimed ahead.
        """
        for priority, count in sorted(held.items(), reverse=True):
            for _ in range(min(count, self.room(priority))):
                self.take(priority)

    def take(self, priority: int) -> None:
        """Let a job use a slot."""
        self._count(priority, 1)

    def leave(self, priority: int) -> None:
        """Give a job's slot back."""
        self._count(priority, -1)

    def _count(self, priority: int, change: int) -> None:
        self.free -= change
        if not self._below:
            return
        for limit in self._below:
            self._below[limit] += change * (priority < limit)
        full = (limit for limit, most in self._most.items() if self._below[limit] >= most)
        self.lowest = max(full, default=PRIORITY_MIN)

    def demand(self, count: int, ahead: int, held: Collection[int]) -> Demand:
        """Return a demand for `count` jobs that leaves the reserved slots to the urgent.

        Args:
            count: how many there is room for.
            ahead: how many may be held beyond the slots.
            held: the priorities of those that are.
        """
        rooms = {}
        for limit, most in self._most.items():
            # What is held takes none of the slots that are free: it would have started.
            below = sum(priority < limit for priority in held)
            rooms[limit] = most - self._below[limit] + max(0, ahead - below)
        return Demand(count, rooms)
