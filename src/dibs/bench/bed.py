"""The database under test, from both sides: dibs' own face and the bare driver's."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from dibs.bench.handlers import make_handlers
from dibs.bench.processes import Child
from dibs.bench.raw import open_raw
from dibs.errors import DibsError
from dibs.store.base import Role

LOOK_SECONDS = 0.025
"""Between two looks at the counters; each costs the workers next to nothing."""
STALL_SECONDS = 60.0
"""A measurement in which nothing ends for so long is given up."""


class Bed:
    """One database that holds nothing, and will hold nothing in the end."""

    def __init__(self, url: str) -> None:
        """Take the database, unless it is in use.

        Raises:
            DibsError: it holds jobs, or its workers live: it must be a database of one's own.
        """
        self.url = url
        self.handlers = make_handlers(url)
        self.app = self.handlers.app
        self.display = self.app.store.url.display
        self.engine = self.app.store.url.engine
        self.app.migrate()
        self.raw = open_raw(url, Role.PRODUCER)
        found = self.raw.in_use()
        if found is not None:
            self._close()
            raise DibsError(
                f"{self.display} holds {found}: the benchmark needs a database of its own, "
                "which it leaves empty; give it the --url of a new one"
            )

    def load(self, jobs: int) -> None:
        """Enqueue jobs that do nothing."""
        self.app.enqueue_many(self.handlers.noop.request(n) for n in range(jobs))

    def wait_for_workers(self, children: Sequence[Child]) -> None:
        """Wait until every worker has registered."""
        deadline = time.monotonic() + STALL_SECONDS
        while len(self.app.stats().workers) < len(children):
            self._check(children, deadline)
            time.sleep(LOOK_SECONDS)

    def wait_for_ended(self, jobs: int, children: Sequence[Child]) -> None:
        """Wait until `jobs` jobs have ended since the last wipe."""
        seen, deadline = -1, 0.0
        while (ended := self.raw.ended()) < jobs:
            if ended != seen:
                seen, deadline = ended, time.monotonic() + STALL_SECONDS
            self._check(children, deadline)
            time.sleep(LOOK_SECONDS)

    def _check(self, children: Sequence[Child], deadline: float) -> None:
        if not all(child.alive for child in children):
            raise DibsError("a worker of the benchmark ended early; its log says why")
        if time.monotonic() > deadline:
            raise DibsError(
                f"the benchmark's workers have ended no job for {STALL_SECONDS:g} seconds; "
                "does anything else hold locks in the database?"
            )

    def wipe(self) -> None:
        """Remove every job."""
        self.raw.wipe()

    def _close(self) -> None:
        self.raw.close()
        self.app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.wipe()
        finally:
            self._close()


def args_of(n: int) -> str:
    """Return the args of job `n` as dibs would store them."""
    return json.dumps({"n": n}, separators=(",", ":"))
