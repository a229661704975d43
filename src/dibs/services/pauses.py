"""Pauses: see when a queue or a kind is paused no more, so that its jobs start within a second.

Pausing needs nobody who looks: every claim asks the database what is paused. But a pause may end
by its time, which no commit tells, and the jobs of a kind stand aside until they are admitted.
"""

from __future__ import annotations

from collections.abc import Callable

from dibs.model.pauses import What
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.pauses import pause_list

LOOK_SECONDS = 0.5
"""Between two looks, so that the end of a pause is seen within a second."""


class Pauses(Service):
    """Remembers what was paused, and tells when some of it is no more."""

    name = "pauses"

    def __init__(self, store: Store, on_resumed: Callable[[], None]) -> None:
        """Look in `store`, and call `on_resumed` when a queue or a kind was resumed."""
        super().__init__()
        self._store = store
        self._on_resumed = on_resumed
        self._seen: set[tuple[What, str]] = set()

    async def tick(self) -> float:
        """Look once; return the seconds until the next time."""
        paused = {(one.what, one.name) for one in await self._store.arun(pause_list())}
        if self._seen - paused:
            self._on_resumed()
        self._seen = paused
        return LOOK_SECONDS
