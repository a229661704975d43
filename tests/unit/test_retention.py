"""How long ended jobs are kept: the values, and how a policy stores them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError, DibsError, QueuePolicy, Retention
from dibs.model.dead import MINUTE, spread
from dibs.model.job import State
from dibs.model.queues import STRICT, policy_from_json, policy_to_json
from dibs.model.retention import ENDED, MOST

LENGTHS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=36_500))
NUMBERS = st.integers(0, MOST)


class TestRetention:
    def test_keeps_the_dead_for_ever_and_the_others_for_a_week_by_default(self):
        kept = Retention()
        week = 7 * 24 * 3600 * 1_000_000
        assert [kept.micros(state) for state in ENDED] == [week, week, None]
        assert [kept.most(state) for state in ENDED] == [None] * 3
        assert str(kept) == (
            "completed jobs kept for 604800 s; cancelled ones for 604800 s; "
            "dead letters until purged"
        )

    def test_is_seconds_or_a_timedelta(self):
        assert Retention(dead=60) == Retention(dead=timedelta(minutes=1))
        assert Retention(completed=60).micros(State.COMPLETED) == 60_000_000

    def test_is_told_in_words(self):
        kept = Retention(completed=None, max_completed=10, cancelled=0.5, max_dead=0)
        assert str(kept) == (
            "completed jobs kept for ever, at most 10; cancelled ones for 0.5 s; "
            "dead letters until purged, at most 0"
        )

    @pytest.mark.parametrize("state", ENDED)
    @pytest.mark.parametrize("value", [0, -1, "60", float("nan"), True])
    def test_refuses_what_is_no_length_of_time(self, state: State, value: object):
        with pytest.raises(ConfigurationError, match=f"retention {state}"):
            Retention(**{state: value})  # type: ignore[arg-type]

    @pytest.mark.parametrize("state", ENDED)
    @pytest.mark.parametrize("value", [-1, 1_000_001, "60", 1.5, True])
    def test_refuses_what_is_no_number_of_jobs(self, state: State, value: object):
        with pytest.raises(ConfigurationError, match=f"retention max_{state}="):
            Retention(**{f"max_{state}": value})  # type: ignore[arg-type]


class TestInAPolicy:
    def test_leaves_the_order_strict(self):
        policy = QueuePolicy(retention=Retention(dead=60))
        assert policy.strict
        assert str(policy).startswith("strict; completed jobs kept for ")
        assert policy != STRICT

    def test_that_is_not_said_is_the_default(self):
        assert STRICT.kept == Retention()
        assert policy_to_json(QueuePolicy(retention=Retention())) == policy_to_json(STRICT)

    @given(
        kept=st.builds(
            Retention,
            completed=st.none() | LENGTHS,
            cancelled=st.none() | LENGTHS,
            dead=st.none() | LENGTHS,
            max_completed=st.none() | NUMBERS,
            max_cancelled=st.none() | NUMBERS,
            max_dead=st.none() | NUMBERS,
        )
    )
    def test_comes_back_as_it_was_stored(self, kept: Retention):
        policy = QueuePolicy(weights={0: 1}, retention=kept)
        again = policy_from_json(policy_to_json(policy))
        assert again.kept == kept
        assert policy_to_json(again) == policy_to_json(policy)

    def test_that_was_stored_before_others_could_be_said_keeps_them_by_default(self):
        assert policy_from_json('{"retention": {"dead": 60}}').kept == Retention(dead=60)

    @pytest.mark.parametrize(
        "value",
        ["7", '{"dead": 0}', '{"alive": 1}', '{"dead": "x"}', '{"max_dead": -1}', '{"most": 1}'],
    )
    def test_that_cannot_be_read_makes_the_policy_unreadable(self, value: str):
        assert policy_from_json(f'{{"retention": {value}}}').unreadable is not None


class TestSpread:
    @given(st.integers(1, 1_000_000))
    def test_lets_at_most_so_many_start_in_a_minute(self, per_minute: int):
        gap = spread(per_minute)
        assert per_minute * gap >= MINUTE
        assert per_minute * (gap - 1) < MINUTE

    def test_is_none_by_default(self):
        assert spread(None) == 0

    def test_refuses_what_is_no_number(self):
        with pytest.raises(DibsError, match="per_minute=0"):
            spread(0)
