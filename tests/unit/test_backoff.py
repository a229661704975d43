"""The delay before the next attempt: bounded, growing, spread by chance."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dibs.errors import ConfigurationError
from dibs.model.backoff import Backoff
from dibs.model.times import LONGEST, SECOND

seconds = st.integers(0, 10**7)
backoffs = st.one_of(
    st.builds(
        Backoff.exponential,
        base=seconds,
        factor=st.floats(1, 1000),
        max=seconds,
        jitter=st.floats(0, 1),
    ),
    st.builds(Backoff.fixed, seconds, jitter=st.floats(0, 1)),
    st.builds(Backoff.linear, seconds, max=seconds, jitter=st.floats(0, 1)),
)
failures = st.integers(1, 1_000_000)
LONGEST_MICROS = LONGEST // timedelta(microseconds=1)


class Chance(Random):
    """Chance that always comes out the same: 0 takes nothing away, almost 1 takes it all."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share

    def random(self) -> float:
        return self.share


LUCKY, UNLUCKY = Chance(0.0), Chance(1 - 2**-53)


def without_jitter(backoff: Backoff) -> Backoff:
    return replace(backoff, jitter=0.0)


@given(backoffs, failures, st.integers())
def test_stays_within_its_bounds(backoff: Backoff, n: int, seed: int):
    delay = backoff.delay(n, Random(seed))
    assert isinstance(delay, int)
    assert 0 <= delay <= backoff.maximum


@given(backoffs, failures, failures)
def test_never_shrinks_from_failure_to_failure(backoff: Backoff, one: int, other: int):
    few, many = sorted((one, other))
    steady = without_jitter(backoff)
    assert steady.delay(few, LUCKY) <= steady.delay(many, LUCKY)


@given(backoffs)
def test_begins_with_the_base(backoff: Backoff):
    first = min(backoff.base, backoff.maximum)
    assert without_jitter(backoff).delay(1, UNLUCKY) == first


@given(st.integers(1, 1000), st.integers(1, 10), st.integers(1, 15))
def test_grows_by_its_factor(base: int, factor: int, n: int):
    backoff = Backoff.exponential(base=base, factor=factor, max=10**10, jitter=0)
    assert backoff.delay(n + 1, LUCKY) == min(factor * backoff.delay(n, LUCKY), 10**10 * SECOND)


@given(backoffs, failures, st.floats(0, 1, exclude_max=True))
def test_chance_takes_at_most_its_share(backoff: Backoff, n: int, share: float):
    full = without_jitter(backoff).delay(n, LUCKY)
    least = full * (1 - backoff.jitter)
    assert backoff.delay(n, LUCKY) == full
    assert backoff.delay(n, UNLUCKY) == pytest.approx(least, rel=1e-9, abs=1)
    assert least - 1 <= backoff.delay(n, Chance(share)) <= full


def test_chance_spreads_jobs_that_failed_together():
    backoff = Backoff.exponential(base=60, jitter=0.5)
    chance = Random(1)
    delays = [backoff.delay(1, chance) for _ in range(1000)]
    assert len(set(delays)) > 990
    assert min(delays) < 31 * SECOND
    assert max(delays) > 59 * SECOND


def test_by_default_from_fifteen_seconds_to_an_hour():
    backoff = without_jitter(Backoff())
    assert [backoff.delay(n, LUCKY) / SECOND for n in (1, 2, 3, 8, 9, 10)] == [
        15, 30, 60, 1920, 3600, 3600,
    ]  # fmt: skip
    assert Backoff() == Backoff.exponential()


def test_growth_beyond_every_number_is_the_maximum():
    steep = Backoff.exponential(base=1, factor=2, max=60, jitter=0)
    with pytest.raises(OverflowError):
        steep.factor**1_000_000
    assert steep.delay(1_000_000, LUCKY) == 60 * SECOND


def test_no_delay_stays_none_however_often_it_is_multiplied():
    assert Backoff.exponential(base=0).delay(1_000_000, LUCKY) == 0


def test_fixed_is_always_the_same():
    assert {Backoff.fixed(30).delay(n, UNLUCKY) for n in (1, 2, 1_000_000)} == {30 * SECOND}


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_linear_is_n_times_its_step(step: int, n: int):
    assert Backoff.linear(step).delay(n, UNLUCKY) == min(n * step * SECOND, LONGEST_MICROS)
    assert Backoff.linear(step, max=100).delay(n, UNLUCKY) == min(n * step, 100) * SECOND


@given(backoffs)
def test_is_the_same_after_it_was_stored(backoff: Backoff):
    assert Backoff.from_json(json.loads(json.dumps(backoff.to_json()))) == backoff


def test_takes_timedeltas():
    backoff = Backoff.exponential(base=timedelta(seconds=2), max=timedelta(minutes=1))
    assert (backoff.base, backoff.maximum) == (2 * SECOND, 60 * SECOND)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("factor", 0.9),
        ("factor", float("nan")),
        ("factor", float("inf")),
        ("jitter", -0.1),
        ("jitter", 1.1),
        ("jitter", float("nan")),
        ("base", -1),
        ("base", "15"),
        ("max", -1),
        ("max", float("inf")),
    ],
)
def test_refuses_what_makes_no_sense(option: str, value: object):
    with pytest.raises(ConfigurationError, match=rf"^{option}="):
        Backoff.exponential(**{option: value})


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Backoff.fixed(-1), "delay=-1"),
        (lambda: Backoff.fixed(1, jitter=2), "jitter=2"),
        (lambda: Backoff.linear("30"), "step='30'"),  # type: ignore[arg-type]
        (lambda: Backoff.linear(30, max=-1), "max=-1"),
        (lambda: Backoff.exponential(factor=True), "factor=True"),
        (lambda: Backoff.exponential(jitter="x"), "jitter='x'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_it_of_the_other_shapes(make: Callable[[], Backoff], problem: str):
    with pytest.raises(ConfigurationError, match=f"^{problem}"):
        make()
