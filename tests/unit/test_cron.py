"""Cron expressions: what they name, against two other implementations; and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs import InvalidCronError, Timing
from dibs.model.cron import SHORTHANDS, cron_ticks, read_cron
from dibs.model.times import from_micros, to_micros
from tests.support.cron_oracle import CronOracle, changes

ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC",
    "America/Sao_Paulo",  # changed at midnight, until 2019
    "America/Havana", "Atlantic/Azores",  # change at midnight, or to it
    "America/St_Johns",  # changed a minute past midnight, until 2011
    "Pacific/Apia",  # left out the 30th of December 2011
    "Antarctica/Troll",  # changes by two hours
    "America/Scoresbysund", "Asia/Kathmandu", "Pacific/Chatham",
)  # fmt: skip
PLAIN = ("Europe/Berlin", "America/New_York", "Australia/Sydney", "UTC", "Asia/Kolkata")
"""Zones whose changes cronsim gets right: by an hour, and away from midnight."""
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@cache
def zone_changes(name: str) -> list[datetime]:
    return changes(ZoneInfo(name), 2008, 2022)


@st.composite
def items(draw: st.DrawFn, low: int, high: int) -> str:
    first = draw(st.integers(low, high))
    last = draw(st.integers(min(first + 1, high), high))  # of 5-5/2, cronsim has its own idea
    step = draw(st.integers(1, max(1, high // 2)))
    shapes = ["*", f"*/{step}", f"{first}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}"]
    if first == last:
        del shapes[-1]
    return draw(st.sampled_from(shapes))


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> str:
    return ",".join(draw(st.lists(items(low, high), min_size=1, max_size=3)))


def often_any(low: int, high: int) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.just("*"), fields(low, high))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    times = [draw(fields(*span)) for span in RANGES[:2]]
    days = [draw(often_any(*span)) for span in RANGES[2:]]
    return " ".join(times + days)


def read(text: str) -> bool:
    try:
        return bool(read_cron(text))
    except InvalidCronError as error:
        if "never comes" in error.reason:
            return False
        raise


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """A whole minute; mostly one shortly before the clocks change."""
    some = zone_changes(zone)
    if some and draw(st.integers(0, 4)):
        return draw(st.sampled_from(some)) - timedelta(minutes=draw(st.integers(0, 1500)))
    start = datetime(1972, 1, 1, tzinfo=UTC)
    return start + timedelta(minutes=draw(st.integers(0, 130 * 366 * 1440)))


def between(text: str, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    found = cron_ticks(read_cron(text), zone, to_micros(begin))
    return [from_micros(tick) for tick in takewhile(lambda tick: tick <= to_micros(end), found)]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(ZONES), text=expressions().filter(read))
def test_names_what_a_clock_s_hand_passes(data: st.DataObject, name: str, text: str):
    zone, begin = ZoneInfo(name), data.draw(moments(name))
    end = begin + timedelta(days=1, hours=2)
    assert between(text, zone, begin, end) == list(CronOracle(text, zone).ticks(begin, end))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(PLAIN), text=expressions().filter(read))
def test_names_what_cronsim_names_over_years(data: st.DataObject, name: str, text: str):
    zone, begin = ZoneInfo(name), data.draw(moments(name))
    mine = islice(cron_ticks(read_cron(text), zone, to_micros(begin)), 30)
    other = islice(CronSim(text, begin.astimezone(zone)), 30)
    assert [from_micros(tick) for tick in mine] == [tick.astimezone(UTC) for tick in other]


@settings(max_examples=25, deadline=None)
@given(data=st.data(), name=st.sampled_from(ZONES), text=expressions().filter(read))
def test_the_next_one_is_the_same_from_wherever_one_looks(
    data: st.DataObject, name: str, text: str
):
    zone, cron = ZoneInfo(name), read_cron(text)
    ticks = list(islice(cron_ticks(cron, zone, to_micros(data.draw(moments(name)))), 20))
    assert ticks == sorted(set(ticks))
    for before, after in pairwise(ticks):
        at = data.draw(st.integers(before, after - 1))
        assert next(cron_ticks(cron, zone, at)) == after


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("0 9 * JAN-MAR mon,Wed", "0 9 * 1-3 1,3"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("  0\t9 * * *  ", "0 9 * * *"),
        ("00 09 01 * *", "0 9 1 * *"),
        *SHORTHANDS.items(),
        ("@DAILY", "0 0 * * *"),
    ],
)
def test_means_the_same(text: str, same: str):
    assert read_cron(text) == read_cron(same)


def test_a_day_fits_by_date_or_weekday_where_both_are_said_and_else_by_both():
    march = datetime(2026, 3, 1, tzinfo=UTC)

    def days(text: str) -> list[int]:
        found = between(text, ZoneInfo("UTC"), march, march + timedelta(days=30))
        return [tick.day for tick in found]

    assert days("0 9 13 * 5") == [6, 13, 20, 27]
    assert days("0 9 14 * 5") == [6, 13, 14, 20, 27]
    assert days("0 9 */13 * 5") == [27]  # of 1, 14, 27, as cron has always done it
    assert days("0 9 10-16 * *") == [10, 11, 12, 13, 14, 15, 16]


def test_rare_days_are_found():
    after = to_micros(datetime(2095, 1, 1, tzinfo=UTC))
    leap = islice(cron_ticks(read_cron("0 0 29 2 *"), ZoneInfo("UTC"), after), 2)
    assert [from_micros(tick).year for tick in leap] == [2096, 2104]
    sunday = cron_ticks(read_cron("0 0 29 2 */7"), ZoneInfo("UTC"), after)
    assert from_micros(next(sunday)) == datetime(2128, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("text", ["* * * * *", "0 9 * * *", "0 9 29 2 *", "* * 29 2 *"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
def test_ends_with_the_calendar(text: str, zone: str):
    late = to_micros(datetime(9999, 12, 30, tzinfo=UTC))
    assert len(list(cron_ticks(read_cron(text), ZoneInfo(zone), late))) <= 2 * 1440


LISTED = "minute, hour, day of month, month, day of week"


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("0 25 * * *", 3, "hour: '25'; expected 0 to 23"),
        ("60 * * * *", 1, "minute: '60'; expected 0 to 59"),
        ("0  0 0 * *", 6, "day of month: '0'; expected 1 to 31"),
        ("0 0 * 1,13 *", 9, "month: '13'; expected 1 to 12, or JAN to DEC"),
        ("0 0 * * 1-8", 11, "day of week: '8'; expected 0 to 7, or SUN to SAT"),
        ("0 0 * * MOO", 9, "day of week: 'MOO'; expected 0 to 7, or SUN to SAT"),
        ("-1 0 * * *", 1, "minute: ''; expected 0 to 59"),
        ("1, 0 * * *", 3, "minute: ''; expected 0 to 59"),
        ("1.5 0 * * *", 1, "minute: '1.5'; expected 0 to 59"),
        ("٣ 0 * * *", 1, "minute: '٣'; expected 0 to 59"),
        ("0 22-2 * * *", 3, "hour: 22-2 runs backwards; write it as two, with a comma"),
        ("*/0 * * * *", 3, "minute: a step of '0'; expected 1 to 59"),
        ("0 0-12/x * * *", 8, "hour: a step of 'x'; expected 1 to 23"),
        ("5/10 * * * *", 2, "minute: a step needs a range or *, as in 5-59/10"),
        ("0 0 L * *", 5, "day of month: 'L'; expected 1 to 31"),
        ("0 0 31 2,4 *", 5, "day of month: its months have 30 days at most, so it never comes"),
        ("0 9 * *", 8, f"expected 5 fields, got 4; they are {LISTED}"),
        ("0 0 9 * * *", 11, f"expected 5 fields, got 6; they are {LISTED}"),
        ("", 1, f"expected 5 fields, got 0; they are {LISTED}"),
        ("@reboot", 1, f"@reboot is none of {', '.join(SHORTHANDS)}; or write 5 fields"),
    ],
)
def test_is_refused_with_position_and_reason(text: str, position: int, reason: str):
    with pytest.raises(InvalidCronError) as refused:
        Timing(text)
    assert (refused.value.position, refused.value.reason) == (position, reason)
    assert refused.value.expression == text
    assert str(refused.value) == f"cron expression {text!r}, position {position}: {reason}"


def test_no_text_is_too_odd_to_be_refused():
    with pytest.raises(InvalidCronError, match="longer than 1000 characters"):
        Timing("0," * 1000 + "0 * * * *")
    with pytest.raises(InvalidCronError, match="expected 1 to 59"):
        Timing("*/" + "9" * 500 + " * * * *")


@given(st.text(max_size=30))
def test_whatever_is_written_is_read_or_refused(text: str):
    assert 1 <= refused_at(text) <= len(text) + 1


def refused_at(text: str) -> int:
    try:
        Timing(text)
    except InvalidCronError as error:
        return error.position
    return 1
