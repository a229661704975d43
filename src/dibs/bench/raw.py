"""The limit: what a bare driver does with the same SQL on the same tables.

A raw connection holds the texts that dibs itself executes and passes them to the driver in the
shortest possible loop: no operations, no runner, no orders, no handlers, no gates. All that it
decodes are the heads of the one line there is, which say what to take and where to look next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN
from dibs.store.base import Role
from dibs.store.urls import parse_url
from dibs.worker.fetch import BATCH as BATCH  # what a worker claims at once  # noqa: PLC0414

KIND = "noop"
WORKER = "raw"
ID, CLAIM = 0, 5
"""Where these stand in a claimed job's record."""
FRONT = {
    "lowest": PRIORITY_MIN,
    "highest": PRIORITY_MAX,
    "count": BATCH,
    "enough": BATCH,
    "paused": 0,
    "kind": None,
}
"""How much of the lines a worker reads that takes any priority."""


@dataclass(frozen=True, slots=True)
class Window:
    """From the first claim to the last settle of some jobs."""

    jobs: int
    first: int
    last: int

    @property
    def seconds(self) -> float:
        """How long they took."""
        return (self.last - self.first) / 1_000_000


class Raw(Protocol):
    """A bare connection, durable as dibs' own connection of that role would be."""

    def enqueue(self, args: str) -> None:
        """Store one job in one transaction."""
        ...

    def enqueue_many(self, args: Sequence[str]) -> None:
        """Store jobs in one transaction, in statements as large as dibs' own."""
        ...

    def claim(self) -> list[Any]:
        """Take a batch from the first line; returns their records, see `ID` and `CLAIM`."""
        ...

    def settle(self, jobs: Sequence[Any]) -> None:
        """Complete what `claim` returned."""
        ...

    def ended(self) -> int:
        """Return how many jobs have ended."""
        ...

    def last_ended(self) -> int:
        """Return the highest id of an ended job."""
        ...

    def window(self, after: int) -> Window:
        """Return the window of the ended jobs whose ids are above `after`."""
        ...

    def in_use(self) -> str | None:
        """Say what the database holds that a benchmark would destroy or be disturbed by."""
        ...

    def wipe(self) -> None:
        """Remove every job and every trace of one."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_raw(url: str, role: Role) -> Raw:
    """Return a bare connection to a database that has the tables."""
    parsed = parse_url(url)
    if parsed.engine == "sqlite":
        from dibs.bench.raw_sqlite import RawSqlite

        return RawSqlite(parsed.target, role)
    from dibs.bench.raw_postgres import RawPostgres

    return RawPostgres(parsed.target, role)


def drain(raw: Raw) -> int:
    """Claim and settle until nothing is ready; return how many jobs that were."""
    done = 0
    while jobs := raw.claim():
        raw.settle(jobs)
        done += len(jobs)
    return done
