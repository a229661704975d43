"""Rescue: take the jobs of workers whose lease ran out, so that no job stays with the dead."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from dibs.client.settings import Settings
from dibs.model.lifecycle import Bury, Finish, Settlement
from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.workers import BATCH, job_due, job_rescue
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

LONGEST_INTERVAL = 10.0
"""Seconds between two looks for stale workers, at most."""
RETURN_SECONDS = 5.0
"""How long others may take to find out that an outage is over."""


class Rescue(Service):
    """Runs in every worker; no leader is needed, for every rescue is fenced by the claim.

    After an outage everybody's lease may have run out, although nobody died. So who was cut off
    for as long as a lease gives the others time to be heard of again.
    """

    name = "rescue"

    def __init__(self, store: Store, settings: Settings, on_ready: Callable[[], None]) -> None:
        """Rescue in `store`, and call `on_ready` when something became ready."""
        super().__init__()
        self._store = store
        self._settings = settings
        self._on_ready = on_ready
        self._lease = settings.lease / SECOND
        self._heard: float | None = None
        self._patient_until = float("-inf")
        self._interval = min(settings.heartbeat / SECOND, LONGEST_INTERVAL)

    async def tick(self) -> float:
        """Rescue stale jobs; return the seconds until the next look."""
        if await self._others_must_be_heard():
            return self._pause()
        rescued = await self._store.arun(job_rescue(self._settings.max_crashes))
        for end in rescued:
            _report(end)
        if rescued:
            self._on_ready()
        if len(rescued) == BATCH:
            return 0.0
        return self._pause()

    async def _others_must_be_heard(self) -> bool:
        """Return whether the database was out of reach until lately."""
        await self._store.arun(job_due())  # fails, as long as it is out of reach
        now = asyncio.get_running_loop().time()
        if self._heard is not None and now - self._heard > self._lease:
            self._patient_until = now + self._lease + RETURN_SECONDS
        self._heard = now
        return now < self._patient_until

    def _pause(self) -> float:
        return self._interval * random.uniform(0.5, 1)  # so that workers look at different times


def _report(end: Settlement) -> None:
    buried, cancelled = isinstance(end, Bury), isinstance(end, Finish)
    became = "buried" if buried else "cancelled, as somebody had asked" if cancelled else "rescued"
    log_event(
        logger, logging.ERROR if buried else logging.WARNING, "job_rescued",
        f"job {end.claim.job_id} was {became}: its worker stopped beating",
        job_id=end.claim.job_id, worker=end.claim.worker, buried=buried, cancelled=cancelled,
    )  # fmt: skip
