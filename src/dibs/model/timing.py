"""When a schedule ticks: by a cron expression in a time zone, or at an interval."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count, islice
from typing import Any
from zoneinfo import ZoneInfo

from dibs.errors import ConfigurationError, InvalidScheduleError
from dibs.model.cron import cron_ticks, read_cron
from dibs.model.times import SECOND, Duration, duration, from_micros, in_seconds

SHORTEST_INTERVAL = 1.0
"""Seconds."""
MOST_PREVIEWED = 10_000
_LAST = 253_402_300_799_999_999
"""The last moment that Python's calendar can name."""


@dataclass(frozen=True)
class Timing:
    """When a schedule ticks.

    An interval ticks on a grid that begins with 1970 in UTC, whenever it was declared: `every=300`
    at five past, ten past, and so on. So it does not drift, and an edit does not move it.

    Args:
        cron: an expression of five fields: minute, hour, day of month, month, day of week.
        every: seconds or timedelta between two ticks, at least 1 second, in place of `cron`.
        tz: the time zone of `cron`, by its IANA name. Default "UTC".

    Raises:
        InvalidCronError: the expression means nothing; the error tells the position and the reason.
        InvalidScheduleError: both or neither, an unknown zone, or an interval out of its range.

    Example:
        >>> print(Timing("0 9 * * 1-5", tz="Europe/Berlin"))
        0 9 * * 1-5 Europe/Berlin
    """

    cron: str | None = None
    every: Duration | None = None
    tz: str = "UTC"

    def __post_init__(self) -> None:
        """Check the values, and keep the interval as a `timedelta`."""
        if (self.cron is None) == (self.every is None):
            raise InvalidScheduleError(
                f"cron={self.cron!r} and every={self.every!r}: give one of them, for example "
                '"0 9 * * 1-5" or every=300'
            )
        _ = self.zone
        if self.cron is not None:
            if not isinstance(self.cron, str):
                raise InvalidScheduleError(f"cron={self.cron!r}: expected a text of five fields")
            read_cron(self.cron)
        elif self.every is not None:
            if self.tz != "UTC":
                raise InvalidScheduleError(
                    f"every={self.every!r} with tz={self.tz!r}: an interval has no time zone; "
                    "leave tz out, or write a cron expression"
                )
            object.__setattr__(self, "every", _interval(self.every))

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"{self.cron} {self.tz}" if self.cron else f"every {in_seconds(self._step / SECOND)} s"
        )

    @cached_property
    def zone(self) -> ZoneInfo:
        """Its time zone."""
        try:
            return ZoneInfo(self.tz)
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise InvalidScheduleError(
                f"tz={self.tz!r}: expected a time zone's IANA name, for example 'Europe/Berlin'"
            ) from error

    @property
    def _step(self) -> int:
        return 0 if self.every is None else duration(self.every, "every")

    def after(self, at: int) -> Iterator[int]:
        """Yield the ticks after `at`, in microseconds, to the end of the calendar."""
        if self.cron is not None:
            return cron_ticks(read_cron(self.cron), self.zone, at)
        return _grid(self._step, at)

    def next_after(self, at: int) -> int | None:
        """Return the first tick after `at`; None where there is none left."""
        return next(self.after(at), None)

    def preview(self, n: int, after: int) -> list[datetime]:
        """Return the next `n` ticks after `after`, in its time zone.

        Raises:
            InvalidScheduleError: `n` is no number from 1 to 10,000.
        """
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_PREVIEWED:
            raise InvalidScheduleError(f"n={n!r}: expected a number from 1 to {MOST_PREVIEWED}")
        return [from_micros(tick).astimezone(self.zone) for tick in islice(self.after(after), n)]


def _interval(every: Duration) -> timedelta:
    try:
        return timedelta(microseconds=duration(every, "every", minimum=SHORTEST_INTERVAL))
    except ConfigurationError as error:
        raise InvalidScheduleError(str(error)) from error


def _grid(step: int, at: int) -> Iterator[int]:
    for tick in count((at // step + 1) * step, step):
        if tick > _LAST:
            return
        yield tick


def delayed(name: str, tick: int, jitter: int) -> int:
    """Return when the job of a tick may start: up to `jitter` microseconds later.

    It follows from the schedule and the tick, so that every worker comes to the same.
    """
    if not jitter:
        return tick
    digest = hashlib.blake2b(f"{name}\0{tick}".encode(), digest_size=8).digest()
    return tick + int.from_bytes(digest, "big") * jitter // 2**64


def timing_to_json(timing: Timing) -> dict[str, Any]:
    """Return a timing as it is stored; the interval in seconds."""
    if timing.cron is not None:
        return {"cron": timing.cron, "tz": timing.tz}
    return {"every": timing._step / SECOND}
