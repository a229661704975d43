"""What a handler may know about the job it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dibs.errors import StopRequestedError


def _logger() -> logging.Logger:
    return logging.getLogger("dibs.job")


class StopSignal:
    """Told by the worker's loop, read by the handler's thread: one write, so no lock."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        """Begin untold."""
        self.reason: str | None = None

    def tell(self, reason: str) -> None:
        """Ask the attempt to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason


@dataclass(frozen=True, slots=True)
class JobContext:
    """Given to handlers that ask for it: any parameter annotated `JobContext` receives it.

    Example:
        >>> @app.job
        ... def charge(ctx: JobContext, order_id: int) -> None:
        ...     ctx.log.info("attempt %d of %d", ctx.attempt, ctx.max_attempts)
    """

    job_id: int
    kind: str
    queue: str
    priority: int
    attempt: int
    """Which counted attempt this is, from 1."""
    max_attempts: int
    worker: str
    """The id of the worker that runs it."""
    _stop: StopSignal = field(default_factory=StopSignal, repr=False, compare=False)
    _log: logging.Logger = field(default_factory=_logger, repr=False, compare=False)

    @property
    def cancelled(self) -> bool:
        """Whether this attempt shall stop: cancelled, out of time, or its worker stops.

        For handlers in threads, which nobody can stop from outside; in a child process it is
        never set, for the child is killed.
        """
        return self._stop.reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why this attempt shall stop, in words; None as long as it may go on."""
        return self._stop.reason

    def raise_if_cancelled(self) -> None:
        """Leave the handler if this attempt shall stop; call it between two pieces of work.

        Raises:
            StopRequestedError: it shall stop; let it out of the handler.

        Example:
            >>> for page in pages:
            ...     ctx.raise_if_cancelled()
            ...     render(page)
        """
        if self._stop.reason is not None:
            raise StopRequestedError(self._stop.reason)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the job's id, kind and attempt."""
        extra: Mapping[str, Any] = {
            "job_id": self.job_id, "kind": self.kind, "attempt": self.attempt
        }  # fmt: skip
        return logging.LoggerAdapter(self._log, extra)
