"""What a handler may return or raise to say what becomes of its job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dibs.errors import ConfigurationError
from dibs.model.job import check_name
from dibs.model.times import SECOND, Duration, duration, in_seconds
from dibs.model.uses import use_of


@dataclass(frozen=True, slots=True)
class Snooze:
    """Run this job again after `delay`, without using up an attempt.

    Args:
        delay: seconds or a timedelta, from now.

    Example:
        >>> def poll(url: str) -> Snooze | None:
        ...     return None if ready(url) else Snooze(30)
    """

    delay: Duration

    def __post_init__(self) -> None:
        """Refuse what is not a duration.

        Raises:
            ConfigurationError: `delay` is negative, or neither seconds nor a timedelta.
        """
        duration(self.delay, "delay")


@dataclass(frozen=True, slots=True)
class Cancel:
    """End this job as cancelled: not done, and not failed.

    Args:
        reason: shown with the job. Default none.
    """

    reason: str | None = None


class RetryAfter(Exception):
    """Raise it to fail this attempt and name the delay before the next one.

    It counts as an attempt, and wins over the backoff and the rules of `Retry`. Any other exception
    with an attribute `retry_after` in seconds, or as a timedelta, names its delay too, and keeps to
    the rules.

    Args:
        delay: seconds or a timedelta, from the end of the attempt.
        message: what went wrong. Default that it was asked to wait.
        limit: name of a limit under which nothing else starts either until then. Default none.
        key: the value of its key under which nothing starts, as in `ctx.limit`. Default the one
            that this job has there, and else the limit without a key.

    Raises:
        ConfigurationError: `delay` is negative, or neither seconds nor a timedelta; a key of no
            limit.
        InvalidJobError: something that can't be a limit's name, or its key.

    Example:
        >>> if response.status_code == 429:
        ...     raise RetryAfter(float(response.headers["Retry-After"]), limit="stripe")
    """

    def __init__(
        self,
        delay: Duration,
        message: str | None = None,
        *,
        limit: str | None = None,
        key: Any = None,
    ) -> None:
        """Keep the delay as `retry_after`, the limit and its key."""
        seconds = duration(delay, "delay") / SECOND
        super().__init__(message or f"asked to be tried again after {in_seconds(seconds)} s")
        self.retry_after = delay
        self.limit = None if limit is None else check_name(limit, "limit")
        self.key = key
        if key is not None:
            if limit is None:
                raise ConfigurationError(f"key={key!r} without limit=: say of which limit it is")
            use_of(limit, key, 1)


class GiveUp(Exception):
    """Raise it to bury the job at once, with the reason `gave_up`: no attempt can succeed.

    Example:
        >>> if customer.deleted:
        ...     raise GiveUp("the customer is gone")
    """
