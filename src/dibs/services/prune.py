"""Prune: remove what nobody needs any more.

These are ended jobs that their queue no longer keeps, keys whose time is over, notes and effects of
jobs that have left for good, and counters of minutes that nobody asks for. Every worker prunes, a
batch at a time and with a pause between, each from where it was: what it has seen and left is not
read again at every look.
"""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any

from dibs.model.dead import DeadFilter
from dibs.model.job import State
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.dead import BEGIN, Cursor, dead_find, dead_latest, dead_purge
from dibs.store.ops.prune import (
    Over,
    counters_sum,
    dead_crowd,
    history_drop,
    history_find,
    key_prune,
    prune_due,
    traces_drop,
    traces_find,
)
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

INTERVAL = 60.0
"""Seconds between two looks, give or take a quarter."""
BETWEEN_BATCHES = 0.1
"""Seconds between two batches of one look: pruning can wait, other writers cannot."""
LOOKS_PER_ROUND = 60
"""Looks until ended jobs are read from the first one again."""

Chore = Callable[[], Coroutine[Any, Any, bool]]
"""Prunes one batch of something, and returns whether there may be more of it."""


class Prune(Service):
    """Runs in every worker; no leader is needed, for a row can be removed only once."""

    name = "prune"

    def __init__(self, store: Store) -> None:
        """Prune in `store`."""
        super().__init__()
        self._store = store
        self._chores: deque[Chore] = deque()
        self._pruned: Counter[str] = Counter()
        self._letters: dict[str, Cursor] = {}
        self._ended: dict[tuple[str, State], int] = {}
        self._traced = 0
        self._looks = 0

    async def tick(self) -> float:
        """Prune one batch of what there is to prune; return the seconds until the next time."""
        if not self._chores:
            self._chores = await self._look()
        chore = self._chores.popleft()
        if await chore():
            self._chores.append(chore)
        if self._chores:
            return BETWEEN_BATCHES
        self._report()
        self._looks += 1
        if self._looks % LOOKS_PER_ROUND == 0:
            self._letters.clear()
            self._ended.clear()
        return INTERVAL * random.uniform(0.75, 1.25)  # so that workers look at different times

    async def _look(self) -> deque[Chore]:
        """Return what there is to do; at least the traces are looked for."""
        due = await self._store.arun(prune_due())
        chores: deque[Chore] = deque([self._drop_traces])
        for over in due.jobs:
            chores.append(self._purging(over) if over.state is State.DEAD else self._dropping(over))
        chores.extend(self._thinning(queue, keep) for queue, keep in due.crowds.items())
        if due.keys:
            chores.append(self._drop_keys)
        if due.counters:
            chores.append(self._sum_counters)
        return chores

    def _report(self) -> None:
        jobs, letters, keys, traces = (
            self._pruned[what] for what in ("jobs", "letters", "keys", "traces")
        )
        self._pruned.clear()
        if jobs or letters or keys or traces:
            log_event(
                logger, logging.INFO, "pruned",
                f"pruned {jobs} ended jobs, {letters} dead letters, {keys} keys, and what {traces} "
                "jobs left behind",
                jobs=jobs, letters=letters, keys=keys, traces=traces,
            )  # fmt: skip

    # --- What there is to do ---------------------------------------------------------------

    def _dropping(self, over: Over) -> Chore:
        """Return how completed or cancelled jobs of a queue are dropped."""

        async def drop() -> bool:
            line = (over.queue, over.state)
            page = await self._store.arun(history_find(over, self._ended.get(line, 0)))
            if page.ids:
                self._pruned["jobs"] += await self._store.arun(history_drop(page.ids))
            self._ended[line] = page.cursor
            return not page.last

        return drop

    def _purging(self, over: Over) -> Chore:
        """Return how dead letters of a queue are purged by their age."""

        async def purge() -> bool:
            seen = self._letters.get(over.queue, BEGIN)
            find = dead_find(DeadFilter(queue=over.queue), seen, over.until)
            page = await self._store.arun(find)
            if page.ids:
                purged = await self._store.arun(dead_purge(page.ids, over.until))
                self._pruned["letters"] += len(purged.ids)
            self._letters[over.queue] = page.cursor
            return not page.last

        return purge

    def _thinning(self, queue: str, keep: int) -> Chore:
        """Return how dead letters of a queue are purged that are too many."""

        async def thin() -> bool:
            until, _ = await self._store.arun(dead_latest())
            crowd = await self._store.arun(dead_crowd(queue, keep))
            purged = await self._store.arun(dead_purge(crowd, until)) if crowd else None
            self._pruned["letters"] += 0 if purged is None else len(purged.ids)
            return purged is not None and len(purged.ids) > 0

        return thin

    async def _drop_keys(self) -> bool:
        """Drop a batch of the keys whose time is over."""
        dropped = await self._store.arun(key_prune())
        self._pruned["keys"] += dropped
        return dropped > 0

    async def _sum_counters(self) -> bool:
        """Add up a batch of the minutes that nobody asks for any more."""
        return await self._store.arun(counters_sum()) > 0

    async def _drop_traces(self) -> bool:
        """Drop the notes and effects of a batch of jobs that have left."""
        found = await self._store.arun(traces_find(self._traced))
        if found.gone:
            self._pruned["traces"] += await self._store.arun(traces_drop(found.gone))
        self._traced = found.cursor
        return found.cursor > 0
