"""Figures for people: lengths of time, moments, counts and rates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def span(time: timedelta | None) -> str:
    """Return a length of time for people, in its two largest units."""
    seconds = abs(time.total_seconds()) if time else 0.0
    if seconds < 1:
        return "less than a second"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(n for n, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for unit, size in units[first : first + 2]:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts)


def when(moment: datetime | None, at: datetime) -> str:
    """Return how long before `at` a moment was, and the moment."""
    if moment is None:
        return "at a time that is not known"
    return f"{span(at - moment)} ago, at {moment_of(moment)}"


def moment_of(moment: datetime) -> str:
    """Return a moment for people."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def many(count: int, what: str) -> str:
    """Return a count of things for people."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def rate_of(rate: float) -> str:
    """Return a rate per second for people."""
    for unit, seconds in (("second", 1), ("minute", 60), ("hour", 3600)):
        if rate * seconds >= 1 or unit == "hour":
            count = rate * seconds
            break
    return f"{count:,.0f} per {unit}" if count >= 10 else f"{count:.2g} per {unit}"
