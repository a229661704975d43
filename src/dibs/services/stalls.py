"""Stalls: warn of lines in which jobs wait and none has started for long.

A worker looks at all lines of its queues, also at those outside its range: a line that is in no
worker's range would starve unseen.
"""

from __future__ import annotations

import asyncio
import logging

from dibs.client.settings import Settings
from dibs.model.lines import Line, Serving
from dibs.model.times import SECOND, in_seconds
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.front import line_fronts
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.service")

LOOKS = 4
"""Looks within the time after which a line counts as stalled."""
LONGEST_INTERVAL = 60.0
"""Seconds between two looks, at most."""


class Stalls(Service):
    """Follows the first job of every line of the queues that its worker serves."""

    name = "stalls"

    def __init__(self, store: Store, serving: Serving, settings: Settings) -> None:
        """Look in `store` after the lines of the queues of `serving`."""
        super().__init__()
        self._store = store
        self._queues = Serving(serving.queues)
        self._after = settings.stalled_after / SECOND
        self._interval = min(self._after / LOOKS, LONGEST_INTERVAL)
        self._seen: dict[tuple[str, int], tuple[int, float]] = {}

    async def tick(self) -> float:
        """Look at the first job of every line; return the seconds until the next look."""
        front = await self._store.arun(line_fronts(self._queues))
        now = asyncio.get_running_loop().time()
        seen = {}
        for line in front.lines:
            key, [(scheduled_at, first)] = (line.queue, line.priority), line.heads
            before, since = self._seen.get(key, (first, now))
            seen[key] = (first, since if before == first else now)
            if before == first and now - since >= self._after:
                waited = (front.now - scheduled_at) / SECOND
                self._warn(line, round(now - since, 1), round(waited, 1))
                seen[key] = (first, now)
        self._seen = seen
        for queue, policy in front.policies.items():
            if policy.unreadable is not None:
                _warn_of_policy(queue, policy.unreadable)
        return self._interval

    @staticmethod
    def _warn(line: Line, still: float, waited: float) -> None:
        log_event(
            logger, logging.WARNING, "line_stalled",
            f"no job of priority {line.priority} in queue {line.queue!r} has started for "
            f"{in_seconds(still)} s; the first has waited {in_seconds(waited)} s",
            queue=line.queue, priority=line.priority, seconds=still, oldest_age=waited,
        )  # fmt: skip


def _warn_of_policy(queue: str, text: str) -> None:
    log_event(
        logger, logging.ERROR, "policy_unreadable",
        f"the policy of queue {queue!r} cannot be read, so its order is strict: {text!r}; set it "
        f"anew with: dibs queues configure {queue}",
        queue=queue,
    )  # fmt: skip
