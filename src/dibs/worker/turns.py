"""Turns: look in time at the keys under which jobs wait, and make ready what may start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.fair import fair_fill, fair_queues
from dibs.store.ops.limit_turns import limit_look, limit_tend, limit_wake

LOOK_SECONDS = 1.0
"""Longest pause between two looks: what a lost nudge can delay a job with limits."""
TAKEN_SECONDS = 0.02
"""Pause after a look for what another worker is just taking up."""
TEND_SECONDS = 5.0
"""Between two looks for what dead workers left behind."""


class Turns(Service):
    """Runs in every worker; poked whenever something came in or was left waiting."""

    name = "turns"

    def __init__(
        self, store: Store, served: Iterable[str], fair: Iterable[str], *, limited: bool
    ) -> None:
        """Look for a worker.

        Args:
            store: where.
            served: its queues.
            fair: queues that the code declares as fair.
            limited: whether the code declares limits.
        """
        super().__init__()
        self._store = store
        self.on_ready: Callable[[Collection[str]], None] = lambda _: None
        """Told in which queues more is ready."""
        self._tended = float("-inf")
        self._served = frozenset(served)
        self._known_fair = set(self._served.intersection(fair))
        self._fair: set[str] = set()
        """Of these, where tenants may wait for their turn."""
        self._known = limited or bool(self._known_fair)
        """Whether anything may wait for its turn: declared, or seen."""

    def nudge(self) -> None:
        """Look at once: something may have come in that waits for its turn.

        Where nothing of the kind is known, nudges cost no look.
        """
        self._fair |= self._known_fair  # others may have noted their tenants
        if self._known:
            self.poke()

    async def look(self) -> float:
        """Make ready what may start now; return the seconds until more may, or come in."""
        arrived, next_in = await self._store.arun(limit_look())
        self._known |= arrived or next_in is not None
        if arrived or (next_in is not None and next_in <= 0):
            woken = await self._store.arun(limit_wake())
            self._tell(woken.ready)
            self._wait(woken.fair)
            self._store.nudge(woken.fair)  # this one may have no room for them
            return 0.0 if woken.found else TAKEN_SECONDS
        return LOOK_SECONDS if next_in is None else min(next_in / SECOND, LOOK_SECONDS)

    async def catch_up(self) -> None:
        """Look, and again while others are taking up what came in: it is ready when they have."""
        # Another's transaction, which tells nobody of its end.
        while await self.look() == TAKEN_SECONDS:  # noqa: ASYNC110
            await asyncio.sleep(TAKEN_SECONDS)

    async def fill(self, demand: int) -> None:
        """Give the tenants of fair queues their turns, before so many jobs are claimed."""
        for queue in sorted(self._fair):
            self._fair.discard(queue)  # before the look: it may be noted again beside it
            filled = await self._store.arun(fair_fill(queue, demand))
            if filled.count:
                self.on_ready([queue])
            if filled.waiting:
                self._fair.add(queue)

    async def tend(self) -> None:
        """Take up what others left behind."""
        await self._store.arun(limit_tend())
        self._wait(await self._store.arun(fair_queues()))

    def _wait(self, queues: Iterable[str]) -> None:
        """Note in which fair queues tenants wait for their turn."""
        if mine := self._served.intersection(queues):
            self._known_fair |= mine
            self._fair |= mine
            self.on_ready(mine)

    async def tick(self) -> float:
        """Look at what there is to look at; return the seconds until the next time."""
        now = asyncio.get_running_loop().time()
        if now - self._tended >= TEND_SECONDS:
            await self.tend()
            self._tended = now
        return await self.look()

    def _tell(self, queues: Collection[str]) -> None:
        if queues:
            self.on_ready(queues)
            self._store.nudge(queues)
