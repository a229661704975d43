"""Aging: a rule over how long a job waited, with a ceiling, that keeps every line in order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError
from dibs.model.aging import Aging
from dibs.model.times import SECOND
from tests.support.policy_oracle import aged

PRIORITIES = st.integers(-40, 40)
WAITED = st.integers(-SECOND, 100 * SECOND) | st.integers(0, 100).map(lambda n: n * SECOND)
SPANS = st.integers(0, 20).map(lambda n: timedelta(seconds=n)) | st.timedeltas(
    timedelta(0), timedelta(seconds=20)
)
rules = st.builds(
    Aging,
    after=SPANS,
    every=SPANS.filter(lambda span: span >= timedelta(milliseconds=100)),
    step=st.integers(1, 50),
    ceiling=PRIORITIES,
)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


class TestEffectivePriority:
    @pytest.mark.parametrize(
        ("waited", "effective"),
        [
            (0, 0),
            (9.99, 0),
            (10, 1),
            (10.99, 1),
            (11, 2),
            (12, 3),
            (28.99, 19),
            (29, 20),
            (600, 20),
        ],
    )
    def test_a_step_after_ten_minutes_and_one_each_minute_from_then_on(
        self, waited: float, effective: int
    ):
        assert Aging(after=600, every=60).effective(0, minutes(waited)) == effective

    def test_steps_may_be_higher_and_end_at_the_ceiling(self):
        rule = Aging(after=60, every=60, step=7, ceiling=10)
        assert [rule.effective(0, minutes(n)) for n in range(4)] == [0, 7, 10, 10]

    def test_above_the_ceiling_a_priority_stays_where_it_is(self):
        rule = Aging(after=0, every=1, ceiling=10)
        assert rule.effective(10, minutes(60)) == 10
        assert rule.effective(11, minutes(60)) == 11

    def test_without_a_delay_the_first_step_counts_at_once(self):
        assert Aging(after=0, every=60).effective(0, minutes(0)) == 1

    def test_what_is_still_to_come_has_not_waited(self):
        assert Aging(after=0, every=60).effective(3, minutes(-5)) == 3

    @given(rules, PRIORITIES, WAITED)
    def test_as_if_each_step_were_taken_when_it_falls_due(
        self, rule: Aging, priority: int, waited: int
    ):
        assert isinstance(rule.after, timedelta)
        assert isinstance(rule.every, timedelta)
        expected = aged(priority, waited, rule.after, rule.every, rule.step, rule.ceiling)
        assert rule.at(priority, waited) == expected

    @given(rules, PRIORITIES, WAITED)
    def test_in_microseconds_or_as_a_timedelta(self, rule: Aging, priority: int, waited: int):
        span = timedelta(microseconds=waited)
        assert rule.effective(priority, span) == rule.at(priority, waited)

    @given(rules, PRIORITIES, WAITED, WAITED)
    def test_never_falls_with_waiting_so_a_line_stays_in_order(
        self, rule: Aging, priority: int, one: int, other: int
    ):
        shorter, longer = sorted((one, other))
        assert rule.at(priority, shorter) <= rule.at(priority, longer)

    @given(rules, PRIORITIES, PRIORITIES, WAITED)
    def test_never_puts_a_higher_priority_below_a_lower_that_waited_as_long(
        self, rule: Aging, one: int, other: int, waited: int
    ):
        lower, higher = sorted((one, other))
        assert rule.at(lower, waited) <= rule.at(higher, waited)

    @given(rules, PRIORITIES, WAITED)
    def test_stays_between_the_priority_and_the_ceiling(
        self, rule: Aging, priority: int, waited: int
    ):
        assert priority <= rule.at(priority, waited) <= max(priority, rule.ceiling)


class TestNeededWaiting:
    def test_of_the_example(self):
        rule = Aging(after=600, every=60)
        assert rule.needed(0, 0) == 0
        assert rule.needed(0, 1) == 600 * SECOND
        assert rule.needed(0, 20) == (600 + 19 * 60) * SECOND
        assert rule.needed(0, 21) is None

    @given(rules, PRIORITIES, PRIORITIES)
    def test_is_the_least_after_which_a_priority_counts_as_much(
        self, rule: Aging, priority: int, effective: int
    ):
        needed = rule.needed(priority, effective)
        if needed is None:
            assert rule.at(priority, 10**15) < effective
        else:
            assert rule.at(priority, needed) >= effective
            assert needed == 0 or rule.at(priority, needed - 1) < effective

    @given(rules, PRIORITIES, WAITED.filter(lambda waited: waited >= 0))
    def test_what_a_job_has_reached_needs_no_more_than_it_waited(
        self, rule: Aging, priority: int, waited: int
    ):
        needed = rule.needed(priority, rule.at(priority, waited))
        assert needed is not None
        assert needed <= waited


class TestValues:
    def test_durations_are_kept_as_timedeltas(self):
        rule = Aging(after=1.5, every=timedelta(minutes=1))
        assert (rule.after, rule.every) == (timedelta(seconds=1.5), timedelta(seconds=60))
        assert rule == Aging(after=timedelta(seconds=1.5), every=60)

    def test_without_any_a_minute_a_step_from_ten_minutes_on_up_to_critical(self):
        assert Aging() == Aging(after=600, every=60, step=1, ceiling=20)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"after": -1}, "aging after=-1: expected at least 0 seconds"),
            ({"after": "10m"}, "aging after='10m': expected seconds or a timedelta"),
            ({"after": None}, "aging after=None: expected seconds or a timedelta"),
            ({"after": float("nan")}, "aging after=nan: expected a finite number"),
            ({"every": 0}, "aging every=0: expected at least 0.000001 seconds"),
            ({"every": float("inf")}, "aging every=inf: expected a finite number"),
            ({"every": True}, "aging every=True: expected seconds or a timedelta"),
            ({"step": 0}, "aging step=0: expected an integer from 1 to 65535"),
            ({"step": -3}, "aging step=-3: expected an integer from 1"),
            ({"step": 1.5}, "aging step=1.5: expected an integer from 1"),
            ({"step": True}, "aging step=True: expected an integer from 1"),
            ({"ceiling": 32768}, "aging ceiling=32768: expected an integer from -32768 to 32767"),
            ({"ceiling": "20"}, "aging ceiling='20': expected an integer from -32768"),
        ],
    )
    def test_bad_ones_are_refused_by_name(self, values: dict[str, object], words: str):
        with pytest.raises(ConfigurationError) as caught:
            Aging(**values)  # type: ignore[arg-type]
        assert words in str(caught.value)
