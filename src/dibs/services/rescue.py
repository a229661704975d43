"""Rescue: take the jobs of workers whose lease ran out, so that no job stays with the dead."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from dibs.client.settings import Settings
from dibs.model.lifecycle import Bury
from dibs.model.times import SECOND
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.workers import BATCH, Rescued, job_rescue
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

LONGEST_INTERVAL = 10.0
"""Seconds between two looks for stale workers, at most."""


class Rescue(Service):
    """Runs in every worker; no leader is needed, for every rescue is fenced by the claim."""

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
        rescued = await self._store.arun(job_rescue(self._settings.max_crashes))
        for job in rescued:
            self._report(job)
        if rescued:
            self._on_ready()
        if len(rescued) == BATCH:
            return 0.0
        return self._interval * random.uniform(0.5, 1)  # so that workers look at different times

    @staticmethod
    def _report(job: Rescued) -> None:
        buried = isinstance(job.settlement, Bury)
        log_event(
            logger,
            logging.ERROR if buried else logging.WARNING,
            "job_rescued",
            f"job {job.job_id} was {'buried' if buried else 'rescued'}: its worker stopped beating",
            job_id=job.job_id,
            worker=job.worker,
            buried=buried,
        )
