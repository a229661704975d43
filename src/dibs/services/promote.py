"""Promote: make scheduled jobs ready at the moment they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from dibs.errors import StoreUnavailableError
from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.workers import BATCH, job_due, job_promote

LOOK_SECONDS = 1.0
"""Longest pause between two looks: what a lost nudge can delay a newly scheduled job."""
CATCH_UP_SECONDS = 5.0
"""How long a worker that starts promotes before it beats for the first time and claims."""


class Promote(Service):
    """Sleeps until the next due time; poked whenever a job may have been scheduled before it."""

    name = "promote"

    def __init__(self, store: Store, on_ready: Callable[[Collection[str]], None]) -> None:
        """Promote in `store`, and tell `on_ready` in which queues something became ready."""
        super().__init__()
        self._store = store
        self._on_ready = on_ready

    async def catch_up(self) -> None:
        """Promote what came due while no worker ran, so that the first claim sees all of it.

        Where that is more than can be done in a moment, the loop does the rest beside the claims.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + CATCH_UP_SECONDS
        try:
            while len(await self._store.arun(job_promote())) == BATCH and loop.time() < until:
                continue
        except StoreUnavailableError:
            return  # the loop tries again, and says so

    async def tick(self) -> float:
        """Promote what is due; return the seconds until the next job is."""
        due = await self._store.arun(job_due())
        if due is None or due > 0:
            return LOOK_SECONDS if due is None else min(due / SECOND, LOOK_SECONDS)
        promoted = await self._store.arun(job_promote())
        if promoted:
            self._on_ready(set(promoted))
        # An overdue job that was not promoted is being moved by another worker this moment.
        return 0.0 if len(promoted) == BATCH else 0.01 if not promoted else 0.001
