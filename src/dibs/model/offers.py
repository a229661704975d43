"""Offers: what became of the turns that a key gave, and which queues did not take theirs.

A turn under a limit makes a job ready; who takes it is left to the workers. Those of one queue may
take none: nobody serves it, it is paused, or its workers are busy. Others who wait under the same
key, in another queue, must not wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from dibs.model.times import SECOND

PATIENCE = SECOND
"""How long a turn may lie before other queues get one too."""
AGAIN = 10 * SECOND
"""Between two turns for a queue that did not take its last one."""


class Offer(NamedTuple):
    """What a key remembers of its turns."""

    at: int | None = None
    """Since when there is room, and turns lie untaken while others wait; microseconds since 1970
    UTC."""
    untaken: tuple[str, ...] = ()
    """Queues that did not take their turns."""

    def lies(self, now: int) -> bool:
        """Return whether every queue is to get a turn now, since those that got one let it lie."""
        return self.at is not None and now - self.at >= (AGAIN if self.untaken else PATIENCE)

    def given(self, queues: Collection[str], now: int) -> Offer:
        """Return what to remember after a turn for each of `queues`, which are now to take it.

        Where only one queue ever waited, there is nobody to be passed over.
        """
        untaken = sorted({*self.untaken, *queues})
        return Offer(now, tuple(untaken) if self.untaken or len(untaken) > 1 else ())

    def claimed(self, queues: Collection[str]) -> Offer:
        """Return what to remember after jobs of `queues` were claimed."""
        if not (left := tuple(queue for queue in self.untaken if queue not in queues)):
            return Offer()
        return Offer(self.at, left)

    def looked(self, now: int, *, room: bool, waiting: bool) -> Offer:
        """Return what to remember after a look, which gave as many turns as there was room."""
        if not waiting:
            return Offer()
        if self.untaken:
            return self
        if not room:
            return Offer()
        return Offer(now if self.at is None else self.at)

    def first(self, queues: Sequence[str]) -> str:
        """Return which of `queues`, in their order, gets the next turn."""
        return next((queue for queue in queues if queue not in self.untaken), queues[0])


def offer_from_row(at: int | None, untaken: str | None) -> Offer:
    """Return an offer as it is stored."""
    return Offer(at, () if untaken is None else tuple(json.loads(untaken)))


def offer_to_row(offer: Offer) -> tuple[int | None, str | None]:
    """Return what is stored of an offer."""
    return offer.at, json.dumps(offer.untaken) if offer.untaken else None
