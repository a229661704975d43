"""Rescue: take the jobs of workers whose lease ran out, so that no job stays with the dead."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from dibs.client.settings import Settings
from dibs.model.lifecycle import Bury, Finish, Settlement
from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.workers import BATCH, job_rescue
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

LONGEST_INTERVAL = 10.0
"""Seconds between two looks for stale workers, at most."""


class Rescue(Service):
    """Runs in every worker; no leader is needed, for every rescue is fenced by the claim.

    After an outage everybody's lease may have run out, although nobody died. So nobody is rescued
    before somebody has beaten again, and that heartbeat gives the others a lease to be heard of in.
    """

    name = "rescue"

    def __init__(self, store: Store, settings: Settings, on_ready: Callable[[], None]) -> None:
        """Rescue in `store`, and call `on_ready` when something became ready."""
        super().__init__()
        self._store = store
        self._settings = settings
        self._on_ready = on_ready
        self._interval = min(settings.heartbeat / SECOND, LONGEST_INTERVAL)

    async def tick(self) -> float:
        """Rescue stale jobs; return the seconds until the next look."""
        rescue = job_rescue(self._settings.max_crashes, self._settings.lease)
        rescued = await self._store.arun(rescue)
        for end in rescued:
            _report(end)
        if rescued:
            self._on_ready()
        if len(rescued) == BATCH:
            return 0.0
        return self._interval * random.uniform(0.5, 1)  # so that workers look at different times


def _report(end: Settlement) -> None:
    buried, cancelled = isinstance(end, Bury), isinstance(end, Finish)
    became = "buried" if buried else "cancelled, as somebody had asked" if cancelled else "rescued"
    log_event(
        logger, logging.ERROR if buried else logging.WARNING, "job_rescued",
        f"job {end.claim.job_id} was {became}: its worker stopped beating",
        job_id=end.claim.job_id, worker=end.claim.worker, buried=buried, cancelled=cancelled,
    )  # fmt: skip
