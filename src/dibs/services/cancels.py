"""Cancels: see which of the worker's running jobs somebody wants cancelled."""

from __future__ import annotations

from collections.abc import Callable

from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.claimed import Key
from dibs.store.ops.workers import job_called_off

LOOK_SECONDS = 0.5
"""Between two looks, so that a request is seen within a second."""


class Cancels(Service):
    """Looks while the worker holds jobs; an idle worker asks nothing."""

    name = "cancels"

    def __init__(
        self,
        store: Store,
        worker: str,
        busy: Callable[[], bool],
        call_off: Callable[[Key, str | None], None],
    ) -> None:
        """Look in `store` for requests to `worker`.

        Args:
            store: where to look.
            worker: its id.
            busy: whether it holds any job.
            call_off: told of a claim and the reason; again at every look, until the job has ended.
        """
        super().__init__()
        self._store = store
        self._worker = worker
        self._busy = busy
        self._call_off = call_off

    async def tick(self) -> float:
        """Look once; return the seconds until the next time."""
        if self._busy():
            for request in await self._store.arun(job_called_off(self._worker)):
                self._call_off(request.key, request.reason)
        return LOOK_SECONDS
