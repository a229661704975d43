"""Idempotency keys, debounce and throttle."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dibs import Unique
from dibs.errors import DuplicateJobError, InvalidJobError
from dibs.model.job import State
from tests.conformance.face import Face
from tests.conformance.spies import raw
from tests.conformance.test_unique import NOON, Clock, clock, invoice, same, timed

__all__ = ["clock", "timed"]


class TestIdempotencyKeys:
    def test_return_the_same_job_even_after_it_ended(self, timed: Face, clock: Clock):
        handler = timed.handler(invoice)
        first = handler.using(idempotency_key="order 1").enqueue(1)
        assert same(first, handler.using(idempotency_key="order 1").enqueue(2))
        timed.work()
        clock.forward(24 * 3600 - 1)
        again = handler.using(idempotency_key="order 1").enqueue(1)
        assert (same(first, again), again.state, again.result) == (True, State.COMPLETED, 1)
        clock.forward(1)
        assert not handler.using(idempotency_key="order 1").enqueue(1).duplicate

    def test_are_of_one_kind_and_no_unique_keys(self, face: Face):
        handler = face.handler(invoice)
        other = face.handler(invoice, kind="other")
        jobs = [
            handler.using(idempotency_key="k").enqueue(1),
            other.using(idempotency_key="k").enqueue(1),
            handler.using(unique=Unique(key="k")).enqueue(1),
            handler.enqueue(1),
        ]
        assert not any(job.duplicate for job in jobs)

    def test_last_as_long_as_said(self, timed: Face, clock: Clock):
        using = timed.handler(invoice).using(
            idempotency_key="k", idempotency_period=timedelta(seconds=10)
        )
        first = using.enqueue(1)
        clock.forward(9)
        assert same(first, using.enqueue(1))
        clock.forward(1)
        assert not using.enqueue(1).duplicate

    def test_say_where_the_record_of_the_job_is_gone(self, timed: Face, tables_url: str):
        using = timed.handler(invoice).using(idempotency_key="k")
        first = using.enqueue(1)
        timed.work()
        raw(tables_url, "DELETE FROM dibs_history")
        with pytest.raises(DuplicateJobError, match=f"job {first.id} .*its record is gone"):
            using.enqueue(1)
        assert timed.enqueue_many([using.request(1)]) == [first.id]

    def test_beside_a_unique_key(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id"]))
        held = handler.enqueue(1)
        call = handler.using(idempotency_key="call")
        assert same(held, call.enqueue(1, note="b"))
        face.work()
        # The same call: it returned that job, so it returns it again, although the key is free.
        assert same(held, call.enqueue(1, note="b"))
        assert not handler.enqueue(1).duplicate

    def test_that_are_held_leave_the_unique_key_free(self, face: Face):
        handler = face.handler(invoice)
        first = handler.using(idempotency_key="call").enqueue(1)
        unique = handler.using(idempotency_key="call", unique=Unique())
        assert same(first, unique.enqueue(1))
        assert not handler.using(unique=Unique()).enqueue(1).duplicate


class TestDebounce:
    def test_the_last_call_within_the_window_wins(self, timed: Face, clock: Clock):
        handler = timed.handler(invoice, debounce=10, unique=Unique(by=["order_id"]))
        first = handler.enqueue(1)
        assert first.scheduled_at == NOON + timedelta(seconds=10)
        clock.forward(9)
        again = handler.enqueue(1, note="last")
        assert same(first, again)
        assert again.scheduled_at == NOON + timedelta(seconds=19)
        assert again.args == {"order_id": 1, "note": "last"}
        clock.forward(9)
        timed.work()
        assert timed.jobs.get(first.id).state is State.SCHEDULED
        clock.forward(1)
        timed.work()
        assert timed.jobs.get(first.id).state is State.COMPLETED
        assert not handler.enqueue(1).duplicate

    def test_is_by_all_args_without_more_words(self, face: Face):
        handler = face.handler(invoice)
        first = handler.using(debounce=60).enqueue(1)
        assert same(first, handler.using(debounce=60).enqueue(1))
        assert not handler.using(debounce=60).enqueue(2).duplicate

    def test_is_switched_off(self, face: Face):
        handler = face.handler(invoice, debounce=60)
        job = handler.using(unique=None).enqueue(1)
        assert (job.state, job.duplicate) == (State.READY, False)


class TestThrottle:
    def test_at_most_one_in_the_window(self, timed: Face, clock: Clock):
        handler = timed.handler(invoice, throttle=timedelta(seconds=10), unique=Unique(key="k"))
        first = handler.enqueue(1)
        assert first.state is State.READY
        timed.work()
        clock.forward(9)
        assert same(first, handler.enqueue(2))
        assert timed.enqueue_many([handler.request(3), handler.request(4)]) == []
        clock.forward(1)
        assert not handler.enqueue(2).duplicate

    def test_instead_of_a_declared_debounce(self, face: Face):
        handler = face.handler(invoice, debounce=60)
        assert handler.using(throttle=60).enqueue(1).state is State.READY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"debounce": 5, "throttle": 5}, "debounce and throttle are given both"),
        ({"debounce": 5, "delay": 5}, "debounce is a delay"),
        ({"debounce": 5, "unique": Unique(during="active", on_conflict="raise")}, "contradict"),
        ({"throttle": 5, "unique": Unique(during=60)}, "contradict"),
        ({"throttle": 5, "unique": None}, "contradict"),
        ({"debounce": 0}, "debounce=0: expected at least"),
        ({"throttle": "5"}, "throttle='5': expected seconds"),
        ({"unique": "order_id"}, "unique='order_id': expected a Unique"),
        ({"unique": Unique(by=["order"])}, "by names 'order', which is no arg"),
        ({"unique": Unique(key="{order}")}, "key template names 'order', which is no arg"),
        ({"idempotency_key": ""}, "idempotency_key=''"),
        ({"idempotency_key": "\ud800"}, "UTF-8"),
        ({"idempotency_period": 5}, "without an idempotency_key"),
        ({"idempotency_key": "k", "idempotency_period": -1}, "idempotency_period=-1"),
    ],
)
def test_bad_options_are_refused(lasting_face: Face, options: dict[str, Any], message: str):
    handler = lasting_face.handler(invoice)
    with pytest.raises(InvalidJobError, match=message):
        handler.using(**options)


def test_a_template_needs_its_args(lasting_face: Face):
    using = lasting_face.handler(invoice).using(unique=Unique(key="{note}"))
    with pytest.raises(InvalidJobError, match="names 'note', which this job is not given"):
        using.enqueue(1)


def test_a_declared_key_is_checked(lasting_face: Face):
    with pytest.raises(InvalidJobError, match="by names 'nobody'"):
        lasting_face.handler(invoice, kind="bad", unique=Unique(by=["nobody"]))
    lasting_face.handler(lambda **_: None, kind="open", unique=Unique(by=["anything"]))
