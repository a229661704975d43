"""What a handler may know about the job it runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def _logger() -> logging.Logger:
    return logging.getLogger("dibs.job")


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
    _log: logging.Logger = field(default_factory=_logger, repr=False, compare=False)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the job's id, kind and attempt."""
        extra: Mapping[str, Any] = {
            "job_id": self.job_id, "kind": self.kind, "attempt": self.attempt
        }  # fmt: skip
        return logging.LoggerAdapter(self._log, extra)
