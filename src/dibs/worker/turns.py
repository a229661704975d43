"""Turns: start what its limits let start, and look in time at the keys under which jobs wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.claim import Claimed
from dibs.store.ops.limits import limit_look, limit_make, limit_start, limit_tend, limit_wake

LOOK_SECONDS = 1.0
"""Longest pause between two looks: what a lost nudge can delay a job with limits."""
TEND_SECONDS = 5.0
"""Between two looks for what dead workers left behind."""


class Turns(Service):
    """Runs in every worker; poked whenever something came in or was left waiting."""

    name = "turns"

    def __init__(self, store: Store, worker: str) -> None:
        """Decide for `worker`, in `store`."""
        super().__init__()
        self._store = store
        self._worker = worker
        self.on_ready: Callable[[Collection[str]], None] | None = None
        """Told in which queues more is ready."""
        self._tended = float("-inf")

    async def start(self, pending: Sequence[Claimed], counted: Collection[str]) -> list[Claimed]:
        """Return those of the claimed jobs that run now; the others wait under their keys."""
        while True:
            started = await self._store.arun(limit_start(self._worker, pending, counted))
            if not started.missing:
                break
            await self._store.arun(limit_make(started.missing))
        if started.blocked:
            self.poke()  # when they may start is another time than it was
        return started.jobs

    async def look(self) -> float:
        """Make ready what may start now; return the seconds until more may, or come in."""
        arrived, next_in = await self._store.arun(limit_look())
        if arrived or (next_in is not None and next_in <= 0):
            self._tell(await self._store.arun(limit_wake()))
            return 0.0
        return LOOK_SECONDS if next_in is None else min(next_in / SECOND, LOOK_SECONDS)

    async def tick(self) -> float:
        """Look at what there is to look at; return the seconds until the next time."""
        now = asyncio.get_running_loop().time()
        if now - self._tended >= TEND_SECONDS:
            self._tell(await self._store.arun(limit_tend()))
            self._tended = now
        return await self.look()

    def _tell(self, queues: Collection[str]) -> None:
        if queues:
            if self.on_ready is not None:
                self.on_ready(queues)
            self._store.nudge(queues)
