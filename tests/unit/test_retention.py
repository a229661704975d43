"""How long ended jobs are kept: the values, and how a policy stores them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError, DibsError, QueuePolicy, Retention
from dibs.model.dead import MINUTE, spread
from dibs.model.queues import STRICT, policy_from_json, policy_to_json

LENGTHS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=36_500))


class TestRetention:
    def test_keeps_everything_by_default(self):
        assert Retention().dead_micros is None
        assert str(Retention()) == "dead letters kept until purged"

    def test_is_seconds_or_a_timedelta(self):
        assert Retention(dead=60) == Retention(dead=timedelta(minutes=1))
        assert Retention(dead=60).dead_micros == 60_000_000
        assert str(Retention(dead=0.5)) == "dead letters kept for 0.5 s"

    @pytest.mark.parametrize("dead", [0, -1, "60", float("nan"), True])
    def test_refuses_what_is_no_length_of_time(self, dead: object):
        with pytest.raises(ConfigurationError, match="retention dead"):
            Retention(dead=dead)  # type: ignore[arg-type]


class TestInAPolicy:
    def test_leaves_the_order_strict(self):
        policy = QueuePolicy(retention=Retention(dead=60))
        assert policy.strict
        assert str(policy) == "strict; dead letters kept for 60 s"
        assert policy != STRICT

    @given(dead=LENGTHS)
    def test_comes_back_as_it_was_stored(self, dead: timedelta):
        policy = QueuePolicy(weights={0: 1}, retention=Retention(dead=dead))
        assert policy_from_json(policy_to_json(policy)) == policy

    @pytest.mark.parametrize("value", ["7", '{"dead": 0}', '{"alive": 1}', '{"dead": "x"}'])
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
