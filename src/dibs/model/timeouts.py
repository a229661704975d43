"""How long an attempt may take, and what it is when it takes longer."""

from __future__ import annotations

from dibs.model.lifecycle import Failed
from dibs.model.retry import error_names
from dibs.model.times import SECOND, in_seconds

NO_TIMEOUT = 0
"""Said where a job or kind shall have no limit, whatever else is said."""
SHORTEST_TIMEOUT = 0.001
"""Seconds."""


def time_limit(of_job: int | None, of_kind: int | None, of_queue: int | None) -> int | None:
    """Return the microseconds that an attempt may take; None for no limit.

    The job's own word counts before that of its kind, and that before the queue's. None is no
    word, and 0 says that there is no limit.

    Example:
        >>> time_limit(None, 30_000_000, 5_000_000)
        30000000
    """
    for said in (of_job, of_kind, of_queue):
        if said is not None:
            return said or None
    return None


def timed_out(limit: int, traceback: str = "") -> Failed:
    """Return the outcome of an attempt that took longer than `limit` microseconds.

    For rules of retries it is a TimeoutError; `traceback` says where the handler was.
    """
    seconds = in_seconds(limit / SECOND)
    return Failed(
        "JobTimeoutError",
        f"it took longer than its timeout of {seconds} s",
        traceback,
        errors=error_names(TimeoutError()),
        timed_out=True,
    )
