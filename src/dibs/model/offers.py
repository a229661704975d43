"""Offers: what became of the turns that a key gave, and which lines did not take theirs.

A turn under a limit makes a job ready; who takes it is left to the workers. Nobody may take those
of a line, the jobs of one priority in one queue: no worker serves it, its queue is paused, or its
workers are busy. Others who wait under the same key must not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from dibs.model.limits import RECHECK
from dibs.model.times import SECOND

PATIENCE = SECOND
"""How long a turn may lie before other lines get one too."""


class LineName(NamedTuple):
    """Names the jobs of one priority in one queue."""

    queue: str
    priority: int


class Offer(NamedTuple):
    """What a key remembers of its turns."""

    at: int | None = None
    """Since when there is room, and turns lie untaken while others wait; microseconds since 1970
    UTC."""
    untaken: frozenset[LineName] = frozenset()
    """Lines that did not take their turns."""

    def lies(self, now: int) -> bool:
        """Return whether every line is to get a turn now, since those that got one let it lie.

        Lines that are known for it get another one at every recheck.
        """
        return self.at is not None and now - self.at >= (RECHECK if self.untaken else PATIENCE)

    def given(self, lines: Collection[LineName], now: int) -> Offer:
        """Return what to remember after a turn for each of `lines`, which are now to take it.

        Where only one line ever waited, there is nobody to be passed over.
        """
        untaken = self.untaken.union(lines)
        return Offer(now, untaken if self.untaken or len(untaken) > 1 else frozenset())

    def claimed(self, lines: Collection[LineName]) -> Offer:
        """Return what to remember after jobs of `lines` were claimed."""
        left = self.untaken.difference(lines)
        return Offer(self.at, left) if left else Offer()

    def looked(self, now: int, *, room: bool, waiting: bool) -> Offer:
        """Return what to remember after a look, which gave as many turns as there was room."""
        if not waiting:
            return Offer(None, self.untaken)
        if not room and not self.untaken:
            return Offer()
        return Offer(now if self.at is None else self.at, self.untaken)

    def first(self, lines: Sequence[LineName]) -> LineName:
        """Return which of `lines`, in their order, gets the next turn."""
        return next((line for line in lines if line not in self.untaken), lines[0])


def offer_from_row(at: int | None, untaken: str | None) -> Offer:
    """Return an offer as it is stored."""
    return Offer(at, frozenset(LineName(*one) for one in json.loads(untaken or "[]")))


def offer_to_row(offer: Offer) -> tuple[int | None, str | None]:
    """Return what is stored of an offer."""
    return offer.at, json.dumps(sorted(offer.untaken)) if offer.untaken else None
