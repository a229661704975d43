"""Strict order: priority, then time, then id."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dibs.model.ordering import Standing, strict_key
from dibs.model.times import to_micros

standings = st.builds(
    Standing, st.integers(-32768, 32767), st.integers(-(10**15), 10**15), st.integers(1)
)


def at(hour: int, minute: int, second: int) -> int:
    return to_micros(datetime(2026, 1, 1, hour, minute, second, tzinfo=UTC))


def test_the_urgent_first_then_the_longest_due():
    password_reset = Standing(20, at(10, 0, 5), 4)
    payment_retry = Standing(10, at(10, 0, 1), 3)
    order_confirmation = Standing(10, at(10, 0, 3), 2)
    analytics_sync = Standing(0, at(9, 55, 0), 1)

    waiting = [analytics_sync, order_confirmation, payment_retry, password_reset]
    assert sorted(waiting, key=strict_key) == [
        password_reset, payment_retry, order_confirmation, analytics_sync,
    ]  # fmt: skip


def test_the_id_decides_between_equals():
    assert strict_key(Standing(5, 1, 1)) < strict_key(Standing(5, 1, 2))


@given(standings, standings)
def test_priority_counts_before_time_and_time_before_id(one: Standing, other: Standing):
    first, second = sorted((one, other), key=strict_key)
    assert first.priority >= second.priority
    if first.priority == second.priority:
        assert first.scheduled_at <= second.scheduled_at
        if first.scheduled_at == second.scheduled_at:
            assert first.job_id <= second.job_id


@given(st.lists(standings, unique=True))
def test_no_two_jobs_stand_alike(waiting: list[Standing]):
    assert len({strict_key(standing) for standing in waiting}) == len(waiting)
