"""Cron expressions: five fields, read with reasons, and the moments that they name in a zone.

Daylight saving is treated as Debian's cron does. An expression whose minute or hour begins with
`*` goes with the hands of the clock: it names every real minute that fits, so what a change skips
is left out, and what it repeats comes twice. Any other one names times of a day, each once a day:
one that a change skips comes at the first moment after it, one that it repeats the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dibs.errors import InvalidCronError
from dibs.model.times import from_micros, to_micros

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    """Names for the values from `lowest` on."""


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 7, _DAYS),
)
SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
LONGEST_TEXT = 1000
"""Characters of an expression; every field written out takes fewer."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression that was read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """From 0, which is Sunday, to 6."""
    either: bool
    """Whether a day fits by its date or its weekday; else by both."""
    real: bool
    """Whether it goes with the hands of the clock: its minute or hour begins with a star."""

    def fits(self, day: date) -> bool:
        """Return whether it names times of `day`."""
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = by_date or by_weekday if self.either else by_date and by_weekday
        return fits and day.month in self.months

    def days_from(self, day: date) -> Iterator[date]:
        """Yield the days that fit, from `day` on, to the end of the calendar.

        Raises:
            OverflowError: at the end of the calendar.
        """
        while True:
            if day.month not in self.months:
                day = (day.replace(day=1) + 32 * DAY).replace(day=1)
                continue
            if self.fits(day):
                yield day
            day += DAY


# --- The moments ---------------------------------------------------------------------------


def cron_ticks(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield the moments that an expression names after `after`, in microseconds since 1970 UTC.

    They rise strictly, and end with the calendar.
    """
    try:
        yield from _real(cron, zone, after) if cron.real else _daily(cron, zone, after)
    except (OverflowError, ValueError):  # datetime's two ways to say that the year 9999 is over
        return


def _daily(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield the times of each day once."""
    last = after
    for day in cron.days_from(from_micros(after).astimezone(zone).date()):
        for hour in cron.hours:
            for minute in cron.minutes:
                moment = datetime.combine(day, time(hour, minute), zone)
                while _skipped(moment):
                    moment += MINUTE
                found = to_micros(moment)
                if found > last:
                    last = found
                    yield found


def _skipped(moment: datetime) -> bool:
    """Return whether the clocks of its zone never show a moment."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo) != moment


def _real(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield every real minute that fits."""
    at = from_micros(after).replace(second=0, microsecond=0) + MINUTE
    while True:
        local = at.astimezone(zone)
        if not cron.fits(local.date()):
            at = _begin(next(cron.days_from(local.date() + DAY)), zone, at)
        elif local.hour not in cron.hours:
            at = _leap(at, zone, 60 - local.minute)
        elif local.minute not in cron.minutes:
            later = [minute for minute in cron.minutes if minute > local.minute]
            at = _leap(at, zone, (later[0] if later else 60) - local.minute)
        else:
            yield to_micros(at)
            at += MINUTE


def _begin(day: date, zone: ZoneInfo, at: datetime) -> datetime:
    """Return the beginning of a day, or a moment before it; later than `at` in any case."""
    midnight = datetime.combine(day, time(), zone)
    both = [midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min((moment for moment in both if moment > at), default=at + MINUTE)


def _leap(at: datetime, zone: ZoneInfo, minutes: int) -> datetime:
    """Return the time so many minutes later, or the next minute where a change may lie between."""
    there = at + minutes * MINUTE
    same = there.astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset()
    return there if same else at + MINUTE


# --- Reading -------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def read_cron(text: str) -> Cron:
    """Return what an expression means.

    Raises:
        InvalidCronError: it is none, or names a day that never comes.
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidCronError(text[:20] + "…", 1, f"longer than {LONGEST_TEXT} characters")
    reader = _Reader(text)
    parts = [(found[0], found.start() + 1) for found in re.finditer(r"\S+", text)]
    if len(parts) == 1 and parts[0][0].startswith("@"):
        return read_cron(reader.shorthand(*parts[0]))
    if len(parts) != len(FIELDS):
        place = parts[len(FIELDS)][1] if len(parts) > len(FIELDS) else len(text) + 1
        raise reader.error(place, f"expected 5 fields, got {len(parts)}; they are {_LISTED}")
    minutes, hours, days, months, weekdays = (
        reader.field(field, part, place) for field, (part, place) in zip(FIELDS, parts, strict=True)
    )
    minute, hour, by_date, _, by_weekday = (part.startswith("*") for part, _ in parts)
    either = not (by_date or by_weekday)
    longest = max(LONGEST_MONTHS[month - 1] for month in months)
    if not either and min(days) > longest:
        raise reader.error(
            parts[2][1], f"day of month: its months have {longest} days at most, so it never comes"
        )
    return Cron(
        tuple(sorted(minutes)), tuple(sorted(hours)), frozenset(days), frozenset(months),
        frozenset(day % 7 for day in weekdays), either, minute or hour,
    )  # fmt: skip


_LISTED = ", ".join(field.name for field in FIELDS)


class _Reader:
    """Reads the fields of one expression."""

    def __init__(self, text: str) -> None:
        self._text = text

    def error(self, position: int, reason: str) -> InvalidCronError:
        return InvalidCronError(self._text, position, reason)

    def shorthand(self, word: str, place: int) -> str:
        found = SHORTHANDS.get(word.lower())
        if found is None:
            raise self.error(place, f"{word} is none of {', '.join(SHORTHANDS)}; or write 5 fields")
        return found

    def field(self, field: Field, part: str, place: int) -> set[int]:
        """Return the values of a field that begins at `place`."""
        values: set[int] = set()
        for item in part.split(","):
            values.update(self._item(field, item, place))
            place += len(item) + 1
        return values

    def _item(self, field: Field, item: str, place: int) -> range:
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.lowest, field.highest
        else:
            low = high = self._value(field, first, place)
            if dash:
                high = self._value(field, last, place + len(first) + 1)
        if high < low:
            raise self.error(
                place, f"{field.name}: {span} runs backwards; write it as two, with a comma"
            )
        if not slash:
            return range(low, high + 1)
        place += len(span) + 1
        if span != "*" and not dash:
            raise self.error(
                place - 1,
                f"{field.name}: a step needs a range or *, as in {span}-{field.highest}/{step}",
            )
        every = _number(step)
        if every is None or not 1 <= every <= field.highest:
            raise self.error(
                place, f"{field.name}: a step of {step!r}; expected 1 to {field.highest}"
            )
        return range(low, high + 1, every)

    def _value(self, field: Field, text: str, place: int) -> int:
        if text.upper() in field.names:
            return field.lowest + field.names.index(text.upper())
        value = _number(text)
        if value is None or not field.lowest <= value <= field.highest:
            names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
            raise self.error(
                place,
                f"{field.name}: {text!r}; expected {field.lowest} to {field.highest}{names}",
            )
        return value


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else None
