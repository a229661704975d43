"""What every store offers, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Protocol, Self, TypeVar

from dibs.model.lines import Serving
from dibs.store.runner import Runner
from dibs.store.statement import Operation
from dibs.store.urls import DatabaseUrl
from dibs.telemetry import Pulse

R = TypeVar("R")

Clock = Callable[[], int]
"""Returns the time in microseconds since 1970 UTC."""


class Role(Enum):
    """Who uses a store: decides durability, fairness and connection settings."""

    PRODUCER = "producer"
    """Applications and commands: short transactions that must not wait behind workers."""
    WORKER = "worker"
    """Workers: batches that may be repeated, never lost."""


class Watch(Protocol):
    """Tells a worker that there may be something to claim."""

    pulse: Pulse
    """Of the thread that looks."""

    def idle(self, idle: bool) -> None:
        """Say whether the worker has nothing to do, so that the watch looks closely."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


class Store(Runner, Protocol):
    """One database, seen from one process."""

    url: DatabaseUrl

    def run(self, operation: Operation[R]) -> R:
        """Carry `operation` out in one transaction and return its result.

        Raises:
            SchemaError: the tables are missing, older or newer than this code.
            StoreUnavailableError: the database cannot be reached, stays locked, or cannot be
                written now: the disk is full, or the file read-only.
            StoreError: the database refused.
        """
        ...

    async def arun(self, operation: Operation[R]) -> R:
        """Like `run`, without blocking the event loop."""
        ...

    def examine(self, operation: Operation[R]) -> R:
        """Carry a reading `operation` out in tables of whatever version, and change nothing.

        It has a connection of its own, and makes neither tables nor a file.

        Raises:
            StoreUnavailableError: the database cannot be reached, or there is none.
            StoreError: the database refused.
        """
        ...

    def migrate(self) -> list[str]:
        """Create or upgrade the tables; return the names of the migrations that ran."""
        ...

    def borrow(self, connection: object) -> Runner:
        """Return a runner that works inside the open transaction of a caller's connection.

        Raises:
            ConfigurationError: a connection of another engine, or of an unknown driver.
        """
        ...

    def nudge(self, queues: Iterable[str]) -> None:
        """Tell idle workers that `queues` have new work; returns at once."""
        ...

    def watch(self, serving: Serving, on_nudge: Callable[[], None]) -> Watch:
        """Call `on_nudge`, from another thread, whenever `serving` may have new work."""
        ...

    def close(self) -> None:
        """Close every connection; the store opens new ones when it is used again."""
        ...

    async def aclose(self) -> None:
        """Close every connection, including those of the running event loop."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
