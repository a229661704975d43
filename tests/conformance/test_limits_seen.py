"""Limits from outside: what is in use, why a job waits, what cannot be, and who changed what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import pytest

from dibs import Limit, State, Verdict
from dibs.errors import ConfigurationError, DibsError, InvalidJobError
from dibs.model.limits import MOST, Rule
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from dibs.store.ops.limit_turns import limit_wake
from tests.conformance.explaining import Shop
from tests.conformance.face import Face


@pytest.fixture
def shop(new_face: Callable[..., Face], database_url: str) -> Shop:
    return Shop(new_face, database_url)


def start(shop: Shop, count: int = 10) -> None:
    """Do what a worker does at a claim, without running the jobs."""
    shop.do(limit_wake())
    shop.do(job_claim("w", Serving(("mail",)), ["print"], Demand(count)))


def printing(shop: Shop, *limits: Limit, **said: Any) -> Any:
    """Declare a kind with limits in the queue mail, as a worker that starts does, and serve it."""
    shop.worker(kinds=["print"])
    for limit in limits:
        rule = {"concurrency": limit.concurrency, "rate": limit.rate, "burst": limit.burst}
        shop.face.limits.configure(limit.name, **rule)

    def act(customer: str) -> None: ...

    return shop.face.handler(act, kind="print", queue="mail", limits=limits, **said)


class TestSlots:
    def test_show_who_holds_them_and_who_waits(self, shop: Shop):
        handler = printing(shop, Limit(name="press", concurrency=2, key="{customer}"))
        ids = [handler.enqueue("acme").id for _ in range(4)]
        other = handler.enqueue("other")
        start(shop)
        limit = shop.face.limits.get("press")
        assert limit == next(one for one in shop.face.limits.list() if one.name == "press")
        acme, alone = limit.keys
        assert (acme.value, acme.taken, acme.holders, acme.waiting) == ("acme", 2, ids[:2], 2)
        assert (alone.value, alone.holders, alone.waiting) == ("other", [other.id], 0)
        assert (acme.full, alone.full) == (True, False)

    def test_explain_who_waits(self, shop: Shop):
        handler = printing(shop, Limit(name="press", concurrency=1, key="{customer}"))
        first, second = handler.enqueue("acme"), handler.enqueue("acme")
        start(shop)
        found = shop.explain(second)
        assert (found.job.state, found.job.reason) == (State.BLOCKED, "limit press, key acme")
        assert (found.verdict, found.limit.holders) == (Verdict.LIMITED, [first.id])
        assert "is blocked (limit press, key acme)" in found.sentences[0]
        assert found.sentences[1] == (
            f"Limit press for key acme allows 1 at once, and job {first.id} runs; it waits for the "
            "end of one."
        )

    def test_of_a_queue_that_is_full(self, shop: Shop):
        shop.face.queues.configure("mail", concurrency=1)
        handler = printing(shop)
        first, second = handler.enqueue("acme"), handler.enqueue("acme")
        start(shop)
        found = shop.explain(second)
        assert (found.job.state, found.verdict) == (State.READY, Verdict.QUEUE_FULL)
        assert found.limit.holders == [first.id]
        assert found.sentences[1].startswith("Queue mail allows 1 at once, and job")


class TestRates:
    def test_tell_when_the_next_turn_comes(self, shop: Shop):
        handler = printing(shop, Limit(name="api", rate=1, burst=1))
        handler.enqueue("acme")
        second = handler.enqueue("acme")
        start(shop)
        found = shop.explain(second)
        assert found.verdict is Verdict.LIMITED
        assert found.limit.opens_at == found.at + timedelta(seconds=1)
        assert "Limit api allows 1 per 1 s, burst 1: it gives the next turn in" in str(found)


class TestRules:
    def test_what_is_configured_wins_until_it_is_reset(self, shop: Shop):
        limits = shop.face.limits
        assert limits.get("api").rule is None
        assert limits.configure("api", rate=5, per=timedelta(minutes=1)).rule == Rule(
            rate=5, per=60_000_000, burst=1
        )
        assert [one.name for one in limits.list()] == ["api"]
        assert limits.reset("api").rule is None

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({}, "give one of them"),
            ({"concurrency": 1, "rate": 1}, "concurrency=1 and rate=1: give one of them"),
            ({"concurrency": 0}, f"concurrency=0: expected an integer from 1 to {MOST}"),
            ({"concurrency": True}, "concurrency=True: expected"),
            ({"rate": 1.5}, "rate=1.5: expected an integer"),
            ({"rate": 1, "per": 0}, "per"),
            ({"rate": 1, "burst": 0}, "burst=0"),
            ({"concurrency": 1, "burst": 2}, "burst=2: only a rate has one"),
        ],
    )
    def test_that_cannot_be(self, shop: Shop, said: dict[str, Any], message: str):
        with pytest.raises(InvalidJobError, match=message):
            shop.face.limits.configure("api", **said)


class TestDeclarations:
    def refuse(self, shop: Shop, message: str, function: Callable[..., Any], **said: Any) -> None:
        with pytest.raises(DibsError, match=message):
            shop.face.target.job(**said)(function)

    def test_that_cannot_be(self, shop: Shop):
        def act(customer: str) -> None: ...

        def annotated(customer: Annotated[str, Limit(concurrency=1, key="x")]) -> None: ...

        self.refuse(shop, r"5: expected a Limit, for example", act, limits=[5])
        self.refuse(shop, r"limits=5: expected a list", act, limits=5)
        self.refuse(shop, r"rate=1, .*: expected a list", act, limits=Limit(rate=1))
        self.refuse(
            shop, "names 'shop', which is no arg", act, limits=[Limit(rate=1, key="{shop}")]
        )
        self.refuse(shop, "is there twice; leave one out", act, limits=[Limit(rate=1)] * 2)
        self.refuse(shop, "its key is the arg; leave out 'x'", annotated)
        self.refuse(shop, "cost=0: expected an integer", act, limits=[Limit(rate=1)], cost=0)

    def test_that_say_two_things_of_one_name(self, shop: Shop):
        app = shop.face.target
        app.limits.declare([Limit(name="api", rate=1)])
        with pytest.raises(ConfigurationError, match=r"'api' is declared twice: .* another name"):
            app.limits.declare([Limit(name="api", rate=2)])
        with pytest.raises(ConfigurationError, match="expected limits with names"):
            app.limits.declare([Limit(rate=1)])

    def test_a_cost_above_the_burst(self, shop: Shop):
        handler = printing(shop, Limit(name="api", rate=1, burst=3))
        with pytest.raises(InvalidJobError, match=r"cost=4: the limit 'api' .* burst of 3"):
            handler.using(cost=4).enqueue("acme")
        assert handler.using(cost=3).enqueue("acme").state is State.BLOCKED

    def test_a_key_that_the_job_does_not_have(self, shop: Shop):
        def act(customer: str = "") -> None: ...

        handler = shop.face.handler(act, kind="may", limits=[Limit(rate=1, key="{customer}")])
        with pytest.raises(InvalidJobError, match="names 'customer', which this job is not given"):
            handler.enqueue()
