"""`Aging` as a value: the same however its times are said, never changed, readable."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import timedelta

import pytest

from dibs import Aging, Priority

AGING = Aging(after=600, every=60, step=2, ceiling=Priority.HIGH)


@pytest.mark.parametrize(
    "same",
    [
        Aging(timedelta(minutes=10), timedelta(minutes=1), 2, 10),
        Aging(after=600.0, every=60.0, step=2, ceiling=10),
        dataclasses.replace(Aging(step=2, ceiling=10)),
        copy.deepcopy(AGING),
        pickle.loads(pickle.dumps(AGING)),
    ],
    ids=["timedelta", "float", "replace", "deepcopy", "pickle"],
)
def test_equal_values_are_equal(same: Aging):
    assert same == AGING
    assert hash(same) == hash(AGING)
    assert repr(same) == repr(AGING)
    assert same.effective(0, 720) == AGING.effective(0, 720) == 6


@pytest.mark.parametrize("other", [{"after": 601}, {"every": 61}, {"step": 3}, {"ceiling": 11}])
def test_any_other_value_is_another(other: dict[str, int]):
    assert dataclasses.replace(AGING, **other) != AGING


def test_its_repr_makes_it_again():
    import datetime

    assert eval(repr(AGING), {"Aging": Aging, "datetime": datetime}) == AGING
    assert repr(Aging(step=Priority.NORMAL)).endswith("step=5, ceiling=20)")


def test_in_words():
    assert str(AGING) == "aging: +2 after 600 s, then +2 every 60 s, up to 10"
    assert str(Aging(after=10**7, every=1e-6)) == (
        "aging: +1 after 10000000 s, then +1 every 0.000001 s, up to 20"
    )


@pytest.mark.parametrize("field", dataclasses.fields(Aging), ids=lambda field: field.name)
def test_cannot_be_changed(field: dataclasses.Field[object]):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(AGING, field.name, 5)


@pytest.mark.parametrize(
    ("waited", "counts"),
    [
        (-1, 0),
        (0, 0),
        (599.999999, 0),
        (600, 2),
        (659, 2),
        (660, 4),
        (839, 8),
        (840, 10),
        (1e9, 10),
    ],
)
def test_seconds_and_timedelta_mean_the_same(waited: float, counts: int):
    assert AGING.effective(0, waited) == counts
    assert AGING.effective(0, timedelta(seconds=waited)) == counts


@pytest.mark.parametrize("priority", [10, 11, 20, 32_767])
def test_at_or_above_the_ceiling_nothing_is_gained(priority: int):
    assert AGING.effective(priority, timedelta(days=1)) == priority


def test_from_far_below():
    assert Aging(after=0, every=1, step=65_535).effective(-32_768, 0) == Priority.CRITICAL
    assert Aging(after=0, every=1, ceiling=-32_768).effective(-32_768, 100) == -32_768
