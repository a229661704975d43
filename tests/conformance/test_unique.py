"""Unique jobs: what makes two the same, what becomes of the second, when the key is free again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import Backoff, Cancel, GiveUp, Retry, Snooze, Unique
from dibs.errors import DuplicateJobError
from dibs.model.job import Job, Priority, State
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.spies import raw

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Clock:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(new_face: OpenFace, clock: Clock) -> Face:
    return new_face(clock=clock)


def invoice(order_id: int = 1, note: str = "", count: int = 0) -> int:
    return order_id


def same(one: Job, other: Job) -> bool:
    return other.duplicate and other.id == one.id


class TestWhatIsTheSame:
    @pytest.mark.parametrize(
        ("unique", "again"),
        [
            (Unique(), {"order_id": 1, "note": "é"}),
            (Unique(by=["args"]), {"order_id": 1, "note": "é"}),
            (Unique(by=("kind",)), {"order_id": 2}),
            (Unique(by=["order_id"]), {"order_id": 1, "note": "b"}),
            (Unique(by=("kind", "order_id", "note")), {"order_id": 1, "note": "é", "count": 3}),
            (Unique(key="all the same"), {"order_id": 2}),
            (Unique(key="o-{order_id} {{x}}"), {"order_id": 1, "note": "b"}),
            (Unique(key="{note}:{order_id}"), {"order_id": 1, "note": "é", "count": 1}),
        ],
    )
    def test_is(self, face: Face, unique: Unique, again: dict[str, Any]):
        handler = face.handler(invoice, unique=unique)
        first = handler.enqueue(order_id=1, note="é")
        assert not first.duplicate
        assert same(first, handler.enqueue(**again))
        assert face.rows() == (1, 1)

    @pytest.mark.parametrize(
        ("unique", "other"),
        [
            (Unique(), {"order_id": 2}),
            (Unique(), {"order_id": 1, "note": ""}),
            (Unique(by=["order_id"]), {"order_id": 2}),
            (Unique(by=["note"]), {"order_id": 1, "note": ""}),
            (Unique(key="o-{order_id}"), {"order_id": 11}),
        ],
    )
    def test_is_not(self, face: Face, unique: Unique, other: dict[str, Any]):
        handler = face.handler(invoice, unique=unique)
        first = handler.enqueue(order_id=1, note="x") if unique.key else handler.enqueue(order_id=1)
        assert not handler.enqueue(**other).duplicate
        assert face.rows() == (2, 2)
        assert same(first, handler.enqueue(**first.args))

    def test_is_never_of_another_kind(self, face: Face):
        for unique in (Unique(), Unique(key="x")):
            jobs = [
                face.handler(invoice, kind=f"{kind} {unique.key}", unique=unique).enqueue(1)
                for kind in ("a", "b")
            ]
            assert not any(job.duplicate for job in jobs)

    def test_is_of_the_same_queue_where_that_counts(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id", "queue"]))
        first = handler.enqueue(1)
        assert not handler.using(queue="other").enqueue(1).duplicate
        assert same(first, handler.enqueue(1, note="b"))

    def test_is_found_by_a_hash_where_args_are_long(self, face: Face, tables_url: str):
        handler = face.handler(invoice, unique=Unique())
        first = handler.enqueue(1, note="é" * 10_000)
        assert same(first, handler.enqueue(1, note="é" * 10_000))
        assert not handler.enqueue(1, note="é" * 9_999).duplicate
        keys = [key for (key,) in raw(tables_url, "SELECT key FROM dibs_keys")]
        assert all(key.startswith("unique:sha256:") and len(key) < 100 for key in keys)

    def test_is_readable_where_args_are_short(self, face: Face, tables_url: str):
        face.handler(invoice, unique=Unique()).enqueue(1, note="é")
        found = raw(tables_url, "SELECT key FROM dibs_keys")
        assert found == [('unique:["invoice",{"note":"é","order_id":1}]',)]

    def test_per_call_and_switched_off(self, face: Face):
        handler = face.handler(invoice, unique=Unique())
        first = handler.enqueue(1)
        assert not handler.using(unique=None).enqueue(1).duplicate
        assert not handler.using(unique=Unique(key="mine")).enqueue(1).duplicate
        assert same(first, face.enqueue("invoice", {"order_id": 1}))
        assert face.enqueue("invoice", {"order_id": 2}, unique=Unique(key="mine")).duplicate


class TestOnConflict:
    @pytest.mark.parametrize("answer", ["return", "skip"])
    def test_the_other_job_is_handed_back(self, face: Face, answer: Any):
        handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict=answer))
        first = handler.using(priority=7).enqueue(1)
        again = handler.using(priority=9, delay=60).enqueue(1, note="b")
        assert (again.id, again.args, again.priority) == (first.id, {"order_id": 1}, 7)
        assert again.state is State.READY

    def test_the_other_job_is_replaced(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="replace"))
        first = handler.enqueue(1)
        options: dict[str, Any] = {"priority": Priority.HIGH, "queue": "q", "max_attempts": 2}
        again = handler.using(delay=60, **options).enqueue(1, note="b")
        assert same(first, again)
        assert (again.state, again.queue, again.priority) == (State.SCHEDULED, "q", 10)
        assert (again.args, again.max_attempts) == ({"order_id": 1, "note": "b"}, 2)
        back = handler.enqueue(1, note="c")
        assert (back.id, back.state, back.queue) == (first.id, State.READY, "default")
        assert face.rows() == (1, 1)
        face.work(queues=["default"])
        assert face.jobs.get(first.id).state is State.COMPLETED

    def test_a_blocked_job_is_replaced(self, face: Face, new_face: OpenFace):
        handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="replace"))
        first = handler.enqueue(1)
        stranger = new_face()
        stranger.handler(invoice, kind="other")
        stranger.work()
        assert face.jobs.get(first.id).state is State.BLOCKED
        assert handler.enqueue(1, note="b").state is State.READY
        assert face.rows() == (1, 1)

    def test_raises(self, face: Face):
        handler = face.handler(invoice, unique=Unique(on_conflict="raise"))
        first = handler.enqueue(1)
        with pytest.raises(DuplicateJobError, match=rf"held by job {first.id} \(ready\)") as caught:
            handler.enqueue(1)
        assert (caught.value.job_id, caught.value.state) == (first.id, "ready")
        assert caught.value.key == 'unique:["invoice",{"order_id":1}]'
        assert face.rows() == (1, 1)

    def test_a_running_job_is_not_replaced(self, face: Face):
        unique = Unique(by=["order_id"], on_conflict="replace")
        refused = []

        def again(order_id: int, note: str = "") -> None:
            with pytest.raises(DuplicateJobError, match="running") as caught:
                handler.target.enqueue(order_id, note="b")
            refused.append(caught.value.job_id)

        handler = face.handler(again, unique=unique)
        job = handler.enqueue(1)
        face.work()
        assert refused == [job.id]
        assert face.jobs.get(job.id).state is State.COMPLETED
        assert face.rows()[0] == 1


def ends() -> list[Any]:
    return [None, Cancel(), ValueError("boom"), GiveUp("no")]


class TestWhenTheKeyIsFree:
    @pytest.mark.parametrize("end", ends(), ids=repr)
    def test_active_until_it_ends(self, face: Face, tables_url: str, end: Any):
        seen = []

        def work(order_id: int) -> Any:
            seen.append(handler.target.enqueue(order_id))
            if isinstance(end, Exception):
                raise end
            return end

        handler = face.handler(work, unique=Unique(), max_attempts=1)
        first = handler.enqueue(1)
        face.work()
        assert same(first, seen[0])
        assert raw(tables_url, "SELECT * FROM dibs_keys") == []
        assert not handler.enqueue(1).duplicate

    @pytest.mark.parametrize("again", [Snooze(60), ValueError("boom")], ids=repr)
    def test_active_through_every_attempt(self, timed: Face, again: Any):
        def work(order_id: int) -> Any:
            if isinstance(again, Exception):
                raise again
            return again

        handler = timed.handler(work, unique=Unique(), retry=Retry(backoff=Backoff.fixed(60)))
        first = handler.enqueue(1)
        timed.work()
        assert timed.jobs.get(first.id).state is State.SCHEDULED
        assert same(first, handler.enqueue(1))

    def test_waiting_until_it_starts(self, face: Face, tables_url: str):
        seen = []

        def work(order_id: int) -> None:
            if not seen:
                seen.append(handler.target.enqueue(order_id))

        handler = face.handler(work, unique=Unique(during="waiting"))
        first = handler.enqueue(1)
        assert same(first, handler.enqueue(1))
        face.work()
        assert not seen[0].duplicate
        assert face.jobs.get(seen[0].id).state is State.COMPLETED
        assert raw(tables_url, "SELECT * FROM dibs_keys") == []

    def test_waiting_is_not_taken_again_by_a_retry(self, timed: Face):
        handler = timed.handler(lambda: Snooze(60), kind="poll", unique=Unique(during="waiting"))
        first = handler.enqueue()
        timed.work()
        assert timed.jobs.get(first.id).state is State.SCHEDULED
        second = handler.enqueue()
        assert not second.duplicate
        timed.jobs.cancel(first.id)  # its record still names the key; the second one holds it
        assert same(second, handler.enqueue())

    def test_waiting_is_held_by_a_blocked_job(self, face: Face, new_face: OpenFace):
        handler = face.handler(invoice, unique=Unique(during="waiting"))
        first = handler.enqueue(1)
        stranger = new_face()
        stranger.handler(invoice, kind="other")
        stranger.work()
        assert face.jobs.get(first.id).state is State.BLOCKED
        assert same(first, handler.enqueue(1))

    @pytest.mark.parametrize("during", ["waiting", "active"])
    @pytest.mark.parametrize("delay", [0, 60])
    def test_by_a_cancellation(self, face: Face, during: Any, delay: int):
        handler = face.handler(invoice, unique=Unique(during=during)).using(delay=delay)
        first = handler.enqueue(1)
        face.jobs.cancel(first.id)
        assert not handler.enqueue(1).duplicate

    @pytest.mark.parametrize("period", [60, timedelta(minutes=1)])
    def test_after_a_time_whatever_becomes_of_the_job(self, timed: Face, clock: Clock, period: Any):
        handler = timed.handler(invoice, unique=Unique(during=period))
        first = handler.enqueue(1)
        timed.work()
        clock.forward(59.9)
        again = handler.enqueue(1)
        assert same(first, again)
        assert (again.state, again.result) == (State.COMPLETED, 1)
        clock.forward(0.1)
        second = handler.enqueue(1)
        assert not second.duplicate
        assert same(second, handler.enqueue(1))

    def test_an_ended_job_is_not_replaced(self, timed: Face):
        handler = timed.handler(invoice, unique=Unique(during=60, on_conflict="replace"))
        handler.enqueue(1)
        timed.work()
        with pytest.raises(DuplicateJobError, match="completed"):
            handler.enqueue(1)
