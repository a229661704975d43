"""Times as the database keeps them: UTC integers in microseconds.

In Python they are aware `datetime` and `timedelta` values; naive datetimes are refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dibs.errors import ConfigurationError, InvalidJobError

SECOND = 1_000_000
"""One second in the unit of the database."""

LONGEST = timedelta(days=1000 * 365)
"""Longest duration: a moment that much later is still a date that Python can name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Duration = float | int | timedelta
"""A length of time: seconds as a number, or a `timedelta`."""


def to_micros(moment: datetime, name: str = "scheduled_at") -> int:
    """Return an aware `moment` as microseconds since 1970 UTC.

    Raises:
        InvalidJobError: `moment` is not a datetime, is naive, or lies outside UTC's calendar.
    """
    if not isinstance(moment, datetime):
        raise InvalidJobError(f"{name}={moment!r}: expected an aware datetime")
    if moment.utcoffset() is None:
        raise InvalidJobError(
            f"{name}={moment.isoformat()} has no time zone; "
            "pass an aware datetime, for example datetime.now(timezone.utc)"
        )
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except OverflowError as error:
        raise InvalidJobError(
            f"{name}={moment.isoformat()}: expected a moment between the years 1 and 9999 in UTC"
        ) from error


def from_micros(micros: int) -> datetime:
    """Return the UTC datetime for `micros` microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def in_seconds(seconds: float) -> str:
    """Return a number of seconds for people, to the microsecond, and never as 1e-06."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def duration(value: Duration, name: str, *, minimum: float = 0.0) -> int:
    """Return a duration, given in seconds or as a timedelta, in microseconds.

    Raises:
        ConfigurationError: not a number or timedelta, not finite, below `minimum` seconds, or
            longer than a thousand years.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise ConfigurationError(f"{name}={value!r}: expected seconds or a timedelta")
    try:
        delta = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(
            f"{name}={value!r}: expected a finite number of seconds, at most {LONGEST.days} days"
        ) from error
    if delta < timedelta(seconds=minimum):
        raise ConfigurationError(
            f"{name}={value!r}: expected at least {in_seconds(minimum)} seconds"
        )
    if delta > LONGEST:
        raise ConfigurationError(f"{name}={value!r}: expected at most {LONGEST.days} days")
    return delta // _MICROSECOND
