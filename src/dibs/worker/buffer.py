"""What a worker has claimed and not started, in the order in which it is to start."""

from __future__ import annotations

import heapq
from collections import deque

from dibs.model.job import PRIORITY_MIN
from dibs.store.ops.claimed import Claimed, Key, key_of


class Buffer:
    """Claimed jobs by rank; those of equal rank in the order in which they came."""

    def __init__(self) -> None:
        """Begin with none."""
        self._held: deque[tuple[float, Claimed]] = deque()
        self._highest = PRIORITY_MIN
        """No job in it has a higher priority."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._held)

    @property
    def first(self) -> Claimed:
        """The one in front."""
        return self._held[0][1]

    @property
    def jobs(self) -> list[Claimed]:
        """All of them, in order."""
        return [job for _, job in self._held]

    def add(self, jobs: list[Claimed], now: float) -> None:
        """Take claimed jobs, at least one, in claim order; they pass those of lower rank."""
        new = [(now, job) for job in jobs]
        if self._held and jobs[0].rank > self._held[-1][1].rank:
            self._held = deque(heapq.merge(self._held, new, key=lambda held: -held[1].rank))
        else:
            self._held.extend(new)
        self._highest = max(self._highest, *(job.priority for job in jobs))

    def pop(self) -> Claimed:
        """Take the one in front."""
        return self._held.popleft()[1]

    def take(self, key: Key) -> Claimed | None:
        """Take one claim out, if it is there."""
        for place, (_, job) in enumerate(self._held):
            if key_of(job) == key:
                del self._held[place]
                return job
        return None

    def bring(self, lowest: int) -> bool:
        """Bring the first job of at least this priority to the front, if there is one."""
        if self._held and self._held[0][1].priority >= lowest:
            return True
        if lowest > self._highest:
            return False
        for place, held in enumerate(self._held):
            if held[1].priority >= lowest:
                del self._held[place]
                self._held.appendleft(held)
                return True
        self._highest = lowest - 1
        return False

    def drop(self, *, but: int = 0) -> list[Claimed]:
        """Take all but the first so many."""
        return [self._held.pop()[1] for _ in range(len(self._held) - but)]

    def drop_older(self, than: float) -> list[Claimed]:
        """Take what came before a moment."""
        older = [job for at, job in self._held if at < than]
        if older:
            self._held = deque(held for held in self._held if held[0] >= than)
        return older

    def front_is_older(self, than: float) -> bool:
        """Return whether even the one in front came before a moment."""
        return bool(self._held) and self._held[0][0] < than
