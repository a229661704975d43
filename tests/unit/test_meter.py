"""The counting of limits against a bucket of exact fractions, and who may start by a few words."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dibs.model.limits import RECHECK, Meter, Rule, turns
from dibs.model.uses import Use

SECOND = 1_000_000
START = 1_767_225_600 * SECOND


@dataclass
class Bucket:
    """Tokens as fractions: what every textbook says of a token bucket."""

    rate: int
    per: int
    burst: int
    tokens: Fraction
    at: int = START

    def take(self, cost: int, now: int) -> bool:
        filled = self.tokens + Fraction((now - self.at) * self.rate, self.per)
        self.tokens, self.at = min(filled, Fraction(self.burst)), now
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True


asks = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 9)), max_size=40)
"""Pauses and costs."""
whole = st.sampled_from([(1, SECOND), (4, SECOND), (10, SECOND), (3, 60 * SECOND), (100, SECOND)])
"""Rates of which a token takes whole microseconds."""
any_rate = st.tuples(st.integers(1, 20_000), st.integers(1, 3600).map(lambda s: s * SECOND))


@given(whole, st.integers(1, 12), asks)
def test_a_rate_lets_start_exactly_what_the_bucket_holds(rate, burst, asked):
    bucket = Bucket(*rate, burst, Fraction(burst))
    meter, now = Meter("k", Rule(rate=rate[0], per=rate[1], burst=burst)), START
    for pause, asked_cost in asked:
        now, cost = now + pause, min(asked_cost, burst)
        assert meter.takes(cost, now) == bucket.take(cost, now)
        if meter.takes(cost, now):
            meter = meter.after(cost, now)
        else:
            assert meter.takes(cost, meter.opens_at(cost))
            assert not meter.takes(cost, meter.opens_at(cost) - 1)
        assert meter.room(now, 1000) == bucket.tokens // 1
        assert meter.look_at(now, cost) > now


@given(any_rate, st.integers(1, 12), asks)
def test_a_rate_never_lets_start_more_and_hardly_less(rate, burst, asked):
    number, per = rate
    meter, now = Meter("k", Rule(rate=number, per=per, burst=burst)), START
    bucket = Bucket(number, per, burst, Fraction(burst))
    for pause, asked_cost in asked:
        now, cost = now + pause // 100, min(asked_cost, burst)
        if meter.takes(cost, now):
            assert bucket.take(cost, now), "it let start what the bucket does not hold"
            meter = meter.after(cost, now)
    # Saturated: what a token takes is rounded up to a microsecond, and no more is lost.
    assert meter.rule is not None
    assert meter.rule.interval(1) - Fraction(per, number) < 1


@given(any_rate, st.integers(1, 12), st.integers(1, 40), asks)
def test_a_cost_above_the_burst_waits_for_all_of_it(rate, burst, cost, asked):
    meter, now = Meter("k", Rule(rate=rate[0], per=rate[1], burst=burst)), START
    for pause, other in asked:
        now += pause
        if meter.takes(min(other, burst), now):
            meter = meter.after(min(other, burst), now)
    opens = max(meter.opens_at(cost), now)
    assert meter.takes(cost, opens)
    if cost > burst:
        assert opens >= meter.full_at


def test_nothing_starts_while_a_key_is_held():
    for rule in (None, Rule(concurrency=3), Rule(rate=1, burst=3)):
        meter = Meter("k", rule, held_until=START + 5)
        assert not meter.takes(1, START + 4)
        assert meter.room(START + 4, 10) == 0
        assert meter.look_at(START) == START + 5
        assert meter.takes(1, START + 5)
        assert meter.room(START + 5, 3) == 3
        assert meter.look_at(START + 5) == START + 5 + RECHECK


KEYS = ["a", "b", "c"]
uses = st.lists(st.sampled_from(KEYS), unique=True, max_size=3)
rules = st.one_of(
    st.none(),
    st.builds(Rule, concurrency=st.integers(1, 4)),
    st.builds(Rule, rate=st.just(1), per=st.just(SECOND), burst=st.integers(1, 4)),
)
pending = st.lists(st.tuples(uses, st.integers(1, 3)), max_size=12)


@given(pending, st.tuples(rules, rules, rules), st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_turns_start_who_has_room_under_all_keys_in_order(wanted, said, used):
    meters = {
        key: Meter(key, rule, used=taken, full_at=START + taken * SECOND // 2)
        for key, rule, taken in zip(KEYS, said, used, strict=True)
    }
    jobs = [
        (number, [Use(key, key, 1 if meters[key].rule is None else cost) for key in keys])
        for number, (keys, cost) in enumerate(wanted)
    ]
    found = turns(jobs, meters, START)
    assert found.start == sorted({*range(len(jobs))} - {*found.blocked})
    left, shut = dict(meters), set()
    for number, needs in jobs:
        refused = [u for u in needs if u.key in shut or not left[u.key].takes(u.cost, START)]
        assert (number in found.blocked) == bool(refused)
        if refused:
            assert found.blocked[number] == refused[0]
            shut.add(refused[0].key)
            assert {u.key for u in needs} - {u.key for u in refused} <= found.passed
        else:
            left = {**left, **{u.key: left[u.key].after(u.cost, START) for u in needs}}
    assert found.meters == left
    for key, meter in found.meters.items():
        rule = meter.rule
        if rule is not None and rule.concurrency is not None:
            assert meter.used <= max(rule.concurrency, meters[key].used)
