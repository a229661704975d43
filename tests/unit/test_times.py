"""Times: aware ones come back as they were, naive ones are refused, durations have a unit."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.errors import ConfigurationError, InvalidJobError
from dibs.model.times import SECOND, duration, from_micros, to_micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
zones = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda m: timezone(timedelta(minutes=m)))
# Not up to the ends of the calendar, so that every zone can tell the time.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001


@given(moments)
def test_a_moment_survives_the_round_trip_in_utc(moment: datetime):
    back = from_micros(to_micros(moment))
    assert back == moment
    assert back.tzinfo is UTC


@given(moments, moments)
def test_micros_are_in_the_order_of_time(one: datetime, other: datetime):
    assert (to_micros(one) < to_micros(other)) == (one < other)


def test_micros_count_from_1970():
    assert to_micros(EPOCH) == 0
    assert to_micros(EPOCH + timedelta(seconds=1, microseconds=1)) == SECOND + 1
    assert to_micros(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == 0


class Vague(tzinfo):
    """A time zone that doesn't know its offset; a datetime in it is naive all the same."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


@pytest.mark.parametrize("naive", [datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=Vague())])  # noqa: DTZ001
def test_naive_datetimes_are_refused(naive: datetime):
    with pytest.raises(InvalidJobError, match=r"^due=2026-01-01T00:00:00 has no time zone"):
        to_micros(naive, "due")


@pytest.mark.parametrize("value", [0, "2026-01-01", None, EPOCH.date()])
def test_other_things_are_no_moments(value: object):
    with pytest.raises(InvalidJobError, match=r"^scheduled_at=.*expected an aware datetime"):
        to_micros(value)


@pytest.mark.parametrize(
    "moment", [datetime.min.replace(tzinfo=EAST), datetime.max.replace(tzinfo=WEST)]
)
def test_moments_outside_the_calendar_are_refused(moment: datetime):
    # Stored, they could never be read again.
    with pytest.raises(InvalidJobError, match=r"^scheduled_at="):
        to_micros(moment)


@pytest.mark.parametrize(
    ("value", "micros"),
    [(0, 0), (1, SECOND), (0.25, SECOND // 4), (timedelta(minutes=2), 120 * SECOND), (1e-6, 1)],
)
def test_durations_are_seconds_or_timedeltas(value: float | timedelta, micros: int):
    assert duration(value, "delay") == micros


@pytest.mark.parametrize(
    "value", [-1, timedelta(-1), "5", None, True, float("nan"), float("inf"), 10**30]
)
def test_other_durations_are_refused(value: object):
    with pytest.raises(ConfigurationError, match=r"^delay="):
        duration(value, "delay")


def test_durations_may_have_a_minimum():
    assert duration(2, "lease", minimum=2) == 2 * SECOND
    with pytest.raises(ConfigurationError, match=r"^lease=1.*at least 2 seconds"):
        duration(1, "lease", minimum=2)


def test_durations_end_within_the_calendar():
    # now + delay has to be a date, or the job could never be read again.
    with pytest.raises(ConfigurationError, match=r"^delay="):
        duration(timedelta.max, "delay")
    with pytest.raises(ConfigurationError, match=r"^delay="):
        duration(timedelta(days=9000 * 365), "delay")
    from_micros(to_micros(datetime.now(UTC)) + duration(timedelta(days=100 * 365), "delay"))
