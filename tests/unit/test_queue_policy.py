"""The policy of a queue: its values, what is refused, and how it is stored."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError, InvalidJobError, Priority
from dibs.model.aging import Aging
from dibs.model.queues import STRICT, QueuePolicy, policy_from_json, policy_to_json
from dibs.model.shares import WEIGHT_MAX
from dibs.model.times import SECOND

CENTURY = timedelta(days=36_500)
PRIORITIES = st.integers(-32768, 32767)
policies = st.builds(
    QueuePolicy,
    aging=st.none()
    | st.builds(
        Aging,
        after=st.integers(0, 10**6) | st.timedeltas(timedelta(0), CENTURY),
        every=st.floats(0.001, 10**6) | st.timedeltas(timedelta(microseconds=1), CENTURY),
        step=st.integers(1, 65_535),
        ceiling=PRIORITIES,
    ),
    weights=st.dictionaries(PRIORITIES, st.integers(1, WEIGHT_MAX), max_size=5),
)


class TestValues:
    def test_without_any_nothing_but_the_priority_counts(self):
        assert QueuePolicy() == STRICT
        assert STRICT.strict
        assert STRICT.at(3, 10**12) == 3

    def test_with_some_more_than_the_priority_counts(self):
        assert not QueuePolicy(aging=Aging()).strict
        assert not QueuePolicy(weights={0: 1}).strict

    def test_aging_raises_what_counts(self):
        policy = QueuePolicy(aging=Aging(after=60, every=60))
        assert policy.at(3, 120 * SECOND) == 5

    def test_a_level_reaches_up_to_the_next_and_the_lowest_down_to_the_end(self):
        policy = QueuePolicy(weights={10: 4, 20: 8, 0: 1})
        priorities = [32767, 20, 19, 10, 9, 0, -1, -32768]
        assert [policy.level(p) for p in priorities] == [20, 20, 10, 10, 0, 0, 0, 0]

    def test_levels_stand_from_the_highest_down(self):
        policy = QueuePolicy(weights={0: 1, Priority.CRITICAL: 8, Priority.HIGH: 4})
        assert list(policy.weights.items()) == [(20, 8), (10, 4), (0, 1)]

    def test_it_does_not_change_with_what_it_was_made_from(self):
        weights = {0: 1}
        policy = QueuePolicy(weights=weights)
        weights[0] = 2
        assert policy.weights == {0: 1}
        with pytest.raises(TypeError):
            policy.weights[0] = 2  # type: ignore[index]


class TestWords:
    AGING = Aging(after=600, every=0.5, step=2, ceiling=10)

    @pytest.mark.parametrize(
        ("policy", "words"),
        [
            (STRICT, "strict"),
            (QueuePolicy(AGING), "aging: +2 after 600 s, then +2 every 0.5 s, up to 10"),
            (QueuePolicy(weights={0: 1, Priority.HIGH: 3}), "weights 10=3, 0=1"),
            (
                QueuePolicy(AGING, {0: 1}),
                "aging: +2 after 600 s, then +2 every 0.5 s, up to 10; weights 0=1",
            ),
        ],
    )
    def test_say_what_it_is(self, policy: QueuePolicy, words: str):
        assert str(policy) == words


class TestRefusals:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"aging": 600}, "aging=600: expected an Aging, for example Aging(after=600"),
            ({"aging": {"after": 600}}, "aging={'after': 600}: expected an Aging"),
            ({"aging": True}, "aging=True: expected an Aging"),
            ({"weights": 3}, "weights=3: expected weights by priority, for example {20: 8"),
            ({"weights": [1, 2]}, "weights=[1, 2]: expected weights by priority"),
            ({"weights": {0: 0}}, "weights[0]=0: expected a weight, an integer from 1 to 1000000"),
            ({"weights": {20: 2, 0: 1.5}}, "weights[0]=1.5: expected a weight, an integer"),
            ({"weights": {0: "4"}}, "weights[0]='4': expected a weight, an integer"),
            ({"weights": {0: True}}, "weights[0]=True: expected a weight, an integer"),
            ({"weights": {5: WEIGHT_MAX + 1}}, "weights[5]=1000001: expected"),
        ],
    )
    def test_values_out_of_range_by_name(self, values: dict[str, object], words: str):
        with pytest.raises(ConfigurationError) as caught:
            QueuePolicy(**values)  # type: ignore[arg-type]
        assert words in str(caught.value)

    @pytest.mark.parametrize(
        ("level", "words"),
        [
            ("high", "priority='high': expected an integer"),
            (1.0, "priority=1.0: expected an integer"),
            (False, "priority=False: expected an integer"),
            (40_000, "priority=40000: expected an integer from -32768 to 32767"),
        ],
    )
    def test_levels_that_are_no_priority(self, level: object, words: str):
        with pytest.raises(InvalidJobError) as caught:
            QueuePolicy(weights={level: 1})  # type: ignore[dict-item]
        assert words in str(caught.value)


class TestStored:
    def test_as_nothing_where_the_order_is_strict(self):
        assert policy_to_json(STRICT) == "{}"
        assert policy_from_json("{}") == STRICT
        assert policy_from_json(None) is STRICT

    def test_in_words_that_can_be_read(self):
        aging = Aging(after=timedelta(minutes=10), every=0.5, step=2, ceiling=Priority.HIGH)
        policy = QueuePolicy(aging, {10: 4, 0: 1})
        assert json.loads(policy_to_json(policy)) == {
            "aging": {"after": 600, "every": 0.5, "step": 2, "ceiling": 10},
            "weights": {"10": 4, "0": 1},
        }

    @given(policies)
    def test_and_comes_back_as_it_was(self, policy: QueuePolicy):
        assert policy_from_json(policy_to_json(policy)) == policy

    @given(policies)
    def test_and_comes_back_alike_however_its_json_was_written(self, policy: QueuePolicy):
        """PostgreSQL and people write JSON in other ways."""
        value = json.loads(policy_to_json(policy))
        weights = dict(reversed(value.pop("weights", {}).items()))
        again = policy_from_json(json.dumps({"weights": weights, **value}, indent=2))
        assert again == policy
        assert list(again.weights) == list(policy.weights)
