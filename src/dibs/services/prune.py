"""Prune: remove what nobody needs any more.

These are dead letters that their queue no longer keeps, keys whose time is over, and notes and
effects of jobs that have left for good. Every worker prunes, a batch at a time, each from where it
was: what it has seen and left is not read again at every look.
"""

from __future__ import annotations

import logging
import random

from dibs.model.dead import DeadFilter
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.dead import BEGIN, Cursor, dead_find, dead_purge
from dibs.store.ops.prune import key_prune, prune_due, traces_drop, traces_find
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

INTERVAL = 60.0
"""Seconds between two looks, give or take a quarter."""
BETWEEN_BATCHES = 0.1
"""Seconds between two batches of one look: pruning can wait, other writers cannot."""
LOOKS_PER_ROUND = 60
"""Looks until dead letters are read from the first one again."""


class Prune(Service):
    """Runs in every worker; no leader is needed, for a row can be removed only once."""

    name = "prune"

    def __init__(self, store: Store) -> None:
        """Prune in `store`."""
        super().__init__()
        self._store = store
        self._seen: dict[str, Cursor] = {}
        self._traced = 0
        self._looks = 0

    async def tick(self) -> float:
        """Prune a batch of each; return the seconds until the next time."""
        due = await self._store.arun(prune_due())
        letters, more = 0, False
        for queue, until in due.dead.items():
            purged, behind = await self._purge(queue, until)
            letters, more = letters + purged, more or behind
        keys = await self._store.arun(key_prune()) if due.keys else 0
        traces = await self._drop_traces()
        if letters or keys or traces:
            log_event(
                logger, logging.INFO, "pruned",
                f"pruned {letters} dead letters, {keys} keys, and what {traces} jobs left behind",
                letters=letters, keys=keys, traces=traces,
            )  # fmt: skip
        if more or keys or self._traced:
            return BETWEEN_BATCHES
        self._looks += 1
        if self._looks % LOOKS_PER_ROUND == 0:
            self._seen.clear()
        return INTERVAL * random.uniform(0.75, 1.25)  # so that workers look at different times

    async def _purge(self, queue: str, until: int) -> tuple[int, bool]:
        """Purge a batch of a queue's letters; return how many, and whether there are more."""
        seen = self._seen.get(queue, BEGIN)
        page = await self._store.arun(dead_find(DeadFilter(queue=queue), seen, until))
        purged = 0
        if page.ids:
            purged = len((await self._store.arun(dead_purge(page.ids, until))).ids)
        self._seen[queue] = page.cursor
        return purged, not page.last

    async def _drop_traces(self) -> int:
        """Drop the notes and effects of a batch of jobs that have left; return of how many."""
        found = await self._store.arun(traces_find(self._traced))
        dropped = await self._store.arun(traces_drop(found.gone)) if found.gone else 0
        self._traced = found.cursor
        return dropped
