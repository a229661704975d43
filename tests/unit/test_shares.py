"""Shares: smooth weighted round robin gives everyone its share, soon, and wastes no turn.

What somebody is owed after k turns in which all had work is k * weight / total less the turns it
got. Nobody is ever owed less than 1/n - 1 turns, for the most deserving of n is served, or more
than 1/2 + 1/3 + ... + 1/n, for to fall behind that far others have to be as deserving. So in any
window of turns, wherever it begins, each gets its share to within 1 + 1/2 + ... + 1/(n-1) turns:
one turn for two, two and a half for eight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError
from dibs.model.shares import WEIGHT_MAX, check_weight, next_share

weights = st.lists(st.integers(1, 9) | st.integers(1, WEIGHT_MAX), min_size=1, max_size=8)
small_weights = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def turns(weights: Sequence[int], count: int, credit: dict[int, int] | None = None) -> list[int]:
    """Return who is served, where all always have work."""
    owed = {} if credit is None else credit
    shares = dict(enumerate(weights))
    return [next_share(owed, shares, shares) for _ in range(count)]


def harmonic(most: int) -> Fraction:
    return sum((Fraction(1, n) for n in range(1, most + 1)), Fraction(0))


def test_turns_are_spread_evenly():
    assert "".join("abc"[n] for n in turns([5, 1, 1], 7)) == "aabacaa"


def test_of_equals_the_first_is_served():
    assert turns([1, 1, 1], 6) == [0, 1, 2, 0, 1, 2]


@given(small_weights)
def test_after_each_round_everyone_has_its_weight_in_turns_and_nobody_is_owed(weights: list[int]):
    credit: dict[int, int] = {}
    for _ in range(3):
        served = Counter(turns(weights, sum(weights), credit))
        assert served == dict(enumerate(weights))
        assert set(credit.values()) == {0}


@given(weights, st.integers(0, 300), st.integers(1, 300))
def test_any_window_gives_everyone_its_share_to_within_a_small_constant(
    weights: list[int], start: int, length: int
):
    window = Counter(turns(weights, start + length)[start:])
    bound = harmonic(len(weights) - 1)
    for one, weight in enumerate(weights):
        share = Fraction(length * weight, sum(weights))
        assert abs(window[one] - share) <= bound


@given(weights, st.integers(1, 300))
def test_nobody_is_a_whole_turn_ahead_of_its_share(weights: list[int], count: int):
    credit: dict[int, int] = {}
    for _ in range(count):
        turns(weights, 1, credit)
        assert sum(credit.values()) == 0
        assert all(owed > -sum(weights) for owed in credit.values())


@given(small_weights)
def test_nobody_waits_much_longer_than_its_share_says(weights: list[int]):
    served = turns(weights, 4 * sum(weights))
    for one, weight in enumerate(weights):
        places = [place for place, who in enumerate(served) if who == one]
        longest = max(b - a for a, b in pairwise([-1, *places]))
        assert longest <= (1 + harmonic(len(weights) - 1)) * Fraction(sum(weights), weight)


@given(small_weights, st.lists(st.sets(st.integers(0, 5)), max_size=60))
def test_only_who_has_work_is_served_and_who_has_none_saves_nothing_up(
    weights: list[int], working: list[set[int]]
):
    shares, credit = dict(enumerate(weights)), dict.fromkeys(range(len(weights)), 0)
    for some in working:
        before = dict(credit)
        if here := sorted(some & set(shares)):
            assert next_share(credit, shares, here) in here
        absent = set(shares) - some
        assert all(credit[one] == before[one] for one in absent)
        assert sum(credit.values()) == 0


def test_the_turns_of_those_without_work_fall_to_the_others_in_proportion():
    credit: dict[str, int] = {}
    weights = {"a": 6, "b": 2, "c": 1}
    served = Counter(next_share(credit, weights, "bc") for _ in range(300))
    assert served == {"b": 200, "c": 100}


@given(small_weights, st.integers(0, 100), st.integers(1, 200))
def test_who_is_left_settles_first_what_was_owed_while_all_had_work(
    weights: list[int], together: int, alone: int
):
    """A turn among all is worth several among the light ones, and the first of these pay it off.

    So soon after the heaviest ran dry the others may be off their shares by that many turns.
    """
    shares, credit = dict(enumerate(weights)), dict[int, int]()
    turns(weights, together, credit)
    left = sorted(shares, key=lambda one: shares[one])[: max(1, len(shares) - 1)]
    total = sum(shares[one] for one in left)
    served = Counter(next_share(credit, shares, left) for _ in range(alone))
    bound = harmonic(len(weights)) * (1 + Fraction(sum(weights), total))
    assert all(abs(served[one] - Fraction(alone * shares[one], total)) <= bound for one in left)


def test_with_nobody_at_work_there_is_no_turn():
    with pytest.raises(ValueError, match="nobody has work"):
        next_share({}, {"a": 1}, [])


@pytest.mark.parametrize("weight", [1, 7, WEIGHT_MAX])
def test_weights_are_whole_numbers_up_to_a_million(weight: int):
    assert check_weight("mail", weight) == weight


@pytest.mark.parametrize("weight", [0, -1, WEIGHT_MAX + 1, 1.5, "2", True, None])
def test_bad_weights_are_refused_by_name(weight: object):
    with pytest.raises(ConfigurationError) as caught:
        check_weight("mail", weight)
    expected = f"mail={weight!r}: expected a weight, an integer from 1 to 1000000"
    assert str(caught.value) == expected
