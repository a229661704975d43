"""Cron by brute force: a clock's hand that is watched minute by minute.

It shares nothing with `dibs.model.cron`: the fields are spelled out by its own few lines, and no
jump is taken. What a change skips, the hand passes in one step; what it repeats, it has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
LOWEST = (0, 0, 1, 1, 0)
HIGHEST = (59, 23, 31, 12, 7)


def values(part: str, place: int) -> set[int]:
    """Spell out a field."""
    found: set[int] = set()
    for item in part.split(","):
        span, _, step = item.partition("/")
        low, _, high = span.partition("-")
        first = LOWEST[place] if span == "*" else int(low)
        last = HIGHEST[place] if span == "*" else int(high or low)
        found |= {value for value in range(first, last + 1) if not (value - first) % int(step or 1)}
    return {value % 7 for value in found} if place == 4 else found


class CronOracle:
    """One expression in one zone."""

    def __init__(self, text: str, zone: ZoneInfo) -> None:
        self.parts = text.split()
        self.sets = [values(part, place) for place, part in enumerate(self.parts)]
        self.zone = zone

    def fits(self, wall: datetime) -> bool:
        """Whether a hand at `wall` points at a time that is named."""
        minutes, hours, days, months, weekdays = self.sets
        by_date, by_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        starred = self.parts[2].startswith("*") or self.parts[4].startswith("*")
        day = by_date and by_weekday if starred else by_date or by_weekday
        return wall.minute in minutes and wall.hour in hours and wall.month in months and day

    def ticks(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the ticks behind `begin`, up to `end`; both are whole minutes in UTC."""
        real = self.parts[0].startswith("*") or self.parts[1].startswith("*")
        now = begin - timedelta(hours=4)  # no change turns it back any further
        furthest = self.wall(now)
        while now < end:
            now += MINUTE
            wall = self.wall(now)
            passed = [wall] if real else []
            while furthest < wall:
                furthest += MINUTE
                passed += [] if real else [furthest]
            if now > begin and any(map(self.fits, passed)):
                yield now

    def wall(self, now: datetime) -> datetime:
        return now.astimezone(self.zone).replace(tzinfo=None)


def changes(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """Return the hours in which the clocks of a zone change, over some years."""
    found, hour = [], timedelta(hours=1)
    day, stop = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC)
    while day < stop:
        after = day + timedelta(days=1)
        if day.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            hours = [day + number * hour for number in range(24)]
            found += [
                at
                for at in hours
                if at.astimezone(zone).utcoffset() != (at + hour).astimezone(zone).utcoffset()
            ]
        day = after
    return found
