"""What a handler may return instead of a result, to say what becomes of its job."""

from __future__ import annotations

from dataclasses import dataclass

from dibs.model.times import Duration, duration


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
