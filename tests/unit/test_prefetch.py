"""Prefetch: at most 50 ms of work held ahead, by the rate at which jobs ended lately."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.model.prefetch import HORIZON, MOST, WINDOW, Prefetch

COUNTS = st.integers(1, 1_000)
PAUSES = st.floats(0.0001, 10)


def steady(rate: float, seconds: float = 1.0, prefetch: Prefetch | None = None) -> Prefetch:
    """Have jobs end at one rate for a while."""
    prefetch = prefetch or Prefetch(0.0)
    for n in range(1, int(rate * seconds) + 1):
        prefetch.ended(1, n / rate)
    return prefetch


def test_nothing_before_anything_ended():
    assert Prefetch(123.0).allowed == 0


@pytest.mark.parametrize("rate", [0.2, 1, 5, 15])
def test_slow_jobs_get_none(rate: float):
    assert steady(rate, seconds=30).allowed == 0


@pytest.mark.parametrize("rate", [100, 1_000, 8_000])
def test_fast_jobs_get_the_horizon(rate: float):
    assert steady(rate).allowed == pytest.approx(rate * HORIZON, rel=0.2, abs=1)


def test_never_more_than_the_limit():
    assert steady(100_000, seconds=0.2).allowed == MOST


def test_fast_jobs_that_turn_slow_lose_it():
    prefetch = steady(8_000)
    before = prefetch.allowed
    now = 1.0
    for _ in range(12):  # a dozen slow jobs
        now += 1.0
        prefetch.ended(1, now)
    assert prefetch.allowed == 0 < before


def test_a_reset_begins_anew():
    prefetch = steady(8_000)
    prefetch.reset(1.0)
    assert prefetch.allowed == 0
    prefetch.ended(1, 1.0 + WINDOW / 2)
    assert prefetch.allowed == 0  # the window before the reset is forgotten, too


def test_a_burst_in_no_time_is_no_rate():
    prefetch = Prefetch(0.0)
    prefetch.ended(10_000, 0.0)
    assert prefetch.allowed == 0


@given(st.lists(st.tuples(COUNTS, PAUSES), max_size=60))
def test_stays_in_bounds_and_below_the_fastest_rate(history: list[tuple[int, float]]):
    prefetch, now, best = Prefetch(0.0), 0.0, 0.0
    pending, since = 0, 0.0
    for count, pause in history:
        now += pause
        prefetch.ended(count, now)
        pending += count
        if now - since >= WINDOW:
            best = max(best, pending / (now - since))
            pending, since = 0, now
        assert 0 <= prefetch.allowed <= MOST
        assert prefetch.allowed <= best * HORIZON
