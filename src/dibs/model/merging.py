"""Merging: several lines as one, whose next turn is looked at before it is taken."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from dibs.model.job import PRIORITY_MIN
from dibs.model.lines import Turn
from dibs.model.shares import next_share

K = TypeVar("K")


class Source(ABC):
    """Gives turns one by one."""

    @abstractmethod
    def peek(self, lowest: int) -> Turn | None:
        """Return the most urgent turn with a priority of at least `lowest`, and leave it."""

    @abstractmethod
    def take(self) -> Turn:
        """Take the next turn, after a peek that found one."""

    def __iter__(self) -> Iterator[Turn]:
        while self.peek(PRIORITY_MIN) is not None:
            yield self.take()


class Merged(Source):
    """Lines by urgency."""

    def __init__(self, lines: Iterable[Iterator[Turn]]) -> None:
        self._turns = heapq.merge(*lines)
        self._head: Turn | None = next(self._turns, None)

    def peek(self, lowest: int) -> Turn | None:
        """See Source."""
        while self._head is not None and self._head.priority < lowest:
            self._head = next(self._turns, None)
        return self._head

    def take(self) -> Turn:
        """See Source."""
        head, self._head = self._head, next(self._turns, None)
        if head is None:
            raise IndexError("no turn is left")
        return head

    def __iter__(self) -> Iterator[Turn]:
        if self._head is not None:
            yield self._head
            yield from self._turns


class Urgent(Source):
    """Several sources: the one whose turn is the most urgent is next."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._best: Source | None = None

    def peek(self, lowest: int) -> Turn | None:
        """See Source."""
        heads = [(head, n) for n, s in enumerate(self._sources) if (head := s.peek(lowest))]
        if not heads:
            return None
        head, number = min(heads)
        self._best = self._sources[number]
        return head

    def take(self) -> Turn:
        """See Source."""
        if self._best is None:
            raise IndexError("no turn is left")
        return self._best.take()


class Shared(Source, Generic[K]):
    """Several sources that take turns by their weights."""

    def __init__(
        self,
        sources: Mapping[K, Source],
        weights: Mapping[K, int],
        credit: dict[K, int],
    ) -> None:
        self._sources = sources
        self._weights = weights
        self._credit = credit
        self._working: list[K] = []

    def peek(self, lowest: int) -> Turn | None:
        """See Source."""
        heads = {key: source.peek(lowest) for key, source in self._sources.items()}
        self._working = [key for key, head in heads.items() if head is not None]
        return min((head for head in heads.values() if head is not None), default=None)

    def take(self) -> Turn:
        """See Source."""
        return self._sources[next_share(self._credit, self._weights, self._working)].take()
