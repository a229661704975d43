"""Turns of tenants: shares by weight, whatever anybody piles up."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs import ConfigurationError, Fair, InvalidJobError
from dibs.model.fair import STRIDE, Tenant, share_out

WEIGHTS = st.integers(1, 20)
tenants = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.tuples(WEIGHTS, st.integers(0, 200)), max_size=8
)


def line_up(spec: dict[str, tuple[int, int]], passes: dict[str, int] | None = None) -> list[Tenant]:
    return [
        Tenant(key, (passes or {}).get(key, 0), waiting, weight)
        for key, (weight, waiting) in spec.items()
    ]


@given(tenants, st.integers(0, 500))
def test_no_turn_is_lost_and_none_is_given_twice(spec: dict[str, tuple[int, int]], turns: int):
    given_, _, _ = share_out(line_up(spec), turns)
    assert given_.total() == min(turns, sum(waiting for _, waiting in spec.values()))
    assert all(count <= spec[key][1] for key, count in given_.items())


@given(st.dictionaries(st.text("abcdef", min_size=1), WEIGHTS, min_size=1, max_size=6))
def test_who_always_has_work_is_never_further_from_its_share_than_a_turn(weights: dict[str, int]):
    spec = {key: (weight, 10_000) for key, weight in weights.items()}
    passes: dict[str, int] = {}
    had: Counter[str] = Counter()
    for turns in (1, 7, 50, 200):
        given_, passes, _ = share_out(line_up(spec, passes), turns)
        had += given_
        rates = [had[key] / weight for key, weight in weights.items()]
        # Between any two, by no more than one turn of each.
        assert max(rates) - min(rates) <= 2 / min(weights.values()) + 1e-3


@given(tenants, st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_in_pieces_it_comes_to_the_same(spec: dict[str, tuple[int, int]], pieces: list[int]):
    at_once, _, _ = share_out(line_up(spec), sum(pieces))
    left = dict(spec)
    passes: dict[str, int] = {}
    had: Counter[str] = Counter()
    for turns in pieces:
        given_, passes, _ = share_out(line_up(left, passes), turns)
        had += given_
        left = {key: (weight, waiting - given_[key]) for key, (weight, waiting) in left.items()}
    assert +had == +at_once


def test_a_newcomer_starts_where_the_others_are():
    spec = {"old": (1, 1000)}
    _, passes, time = share_out(line_up(spec), 100)
    assert (passes["old"], time) == (100 * STRIDE, 99 * STRIDE)
    given_, _, _ = share_out(
        line_up({"old": (1, 900), "new": (1, 900)}, passes | {"new": time}), 20
    )
    assert given_["new"] <= given_["old"] + 2


@pytest.mark.parametrize("by", ["", "tenant id", "größe", 7, None, "x-y"])
def test_what_is_no_name_of_an_arg_is_refused(by: object):
    with pytest.raises(ConfigurationError, match="name of an arg"):
        Fair(by)  # type: ignore[arg-type]


def test_weights_and_exempt_priorities_are_checked():
    with pytest.raises(ConfigurationError, match="acme"):
        Fair("tenant", {"acme": 0})
    with pytest.raises(ConfigurationError, match="weights by tenant"):
        Fair("tenant", ["acme"])  # type: ignore[arg-type]
    with pytest.raises(InvalidJobError, match="priority"):
        Fair("tenant", exempt="high")  # type: ignore[arg-type]
