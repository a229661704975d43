"""The policies of queues: declared in code, configured while the system runs, kept apart."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from dibs import Aging, Dibs, Priority, Queue, QueuePolicy
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.notes import TEN, Clock, Notes
from tests.conformance.working import work

FAST = Aging(after=10, every=1)
SLOW = Aging(after=600, every=60, step=2, ceiling=Priority.HIGH)
STRICT = QueuePolicy()


def note(word: str) -> None: ...


def start(face: Face) -> None:
    """Start a worker of the app, as a deployment of its code does."""
    face.handler(note)
    work(face.target, "sync" if face.runner is None else "async")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def face(new_face: OpenFace, clock: Clock) -> Face:
    face = new_face(clock=clock)
    face.migrate()
    return face


class TestConfiguring:
    def test_nobody_said_anything(self, face: Face):
        assert face.queues.get("mail") == Queue("mail", STRICT, None, None, None)
        assert face.queues.get("mail").policy.strict
        assert face.queues.list() == []

    def test_holds_for_everyone_who_looks(self, face: Face, new_face: OpenFace):
        queue = face.queues.configure("mail", aging=SLOW, weights={0: 1, Priority.HIGH: 3})
        assert queue.policy == QueuePolicy(SLOW, {10: 3, 0: 1})
        assert queue == Queue("mail", queue.policy, None, queue.policy, TEN)
        assert not queue.policy.strict
        assert list(queue.policy.weights) == [10, 0]
        assert new_face().queues.get("mail") == queue
        assert new_face().queues.list() == [queue]

    def test_replaces_what_was_configured(self, face: Face, clock: Clock):
        face.queues.configure("mail", aging=FAST)
        clock.move(60)
        queue = face.queues.configure("mail", weights={0: 1})
        assert queue.policy == QueuePolicy(None, {0: 1})
        assert (queue.updated_at - TEN) == timedelta(minutes=1)

    @pytest.mark.parametrize("name", ["mail", "grüße", "a=3", "x" * 200, "'; --"])
    def test_of_any_name(self, face: Face, name: str):
        assert face.queues.configure(name, aging=FAST).name == name
        assert [queue.name for queue in face.queues.list()] == [name]

    def test_lists_by_name(self, face: Face):
        for name in ("b", "a", "c"):
            face.queues.configure(name)
        assert [queue.name for queue in face.queues.list()] == ["a", "b", "c"]

    @pytest.mark.parametrize(
        "aging",
        [
            Aging(after=0, every=timedelta(microseconds=1)),
            Aging(after=0.1, every=1 / 3),
            Aging(after=timedelta(days=365_000), every=timedelta(days=365_000)),
            Aging(step=65_535, ceiling=32_767),
            Aging(ceiling=-32_768),
        ],
        ids=str,
    )
    def test_keeps_every_value_as_it_was_said(self, face: Face, aging: Aging):
        weights = {32_767: 1, 0: 1_000_000, -32_768: 7}
        face.queues.configure("mail", aging=aging, weights=weights)
        assert face.queues.get("mail").policy == QueuePolicy(aging, weights)


class TestResetting:
    def test_returns_to_strict_order(self, face: Face, clock: Clock):
        face.queues.configure("mail", aging=FAST)
        clock.move(60)
        queue = face.queues.reset("mail")
        assert queue == Queue("mail", STRICT, None, None, TEN + timedelta(minutes=1))
        assert face.queues.list() == [queue]

    def test_returns_to_what_the_code_declares(self, face: Face):
        face.queues.declare("mail", aging=SLOW)
        start(face)
        face.queues.configure("mail", aging=FAST)
        assert face.queues.reset("mail").policy == QueuePolicy(SLOW)

    def test_leaves_alone_what_nobody_configured(self, face: Face, clock: Clock):
        assert face.queues.reset("mial") == Queue("mial", STRICT, None, None, None)
        assert face.queues.list() == []
        face.queues.configure("mail")
        once = face.queues.reset("mail")
        clock.move(60)
        assert face.queues.reset("mail") == once


class TestDeclaring:
    def test_is_stored_when_a_worker_starts(self, face: Face):
        face.queues.declare("mail", aging=SLOW, weights={Priority.HIGH: 2, 0: 1})
        face.queues.declare("reports", aging=FAST)
        assert face.queues.list() == []
        start(face)
        policy = QueuePolicy(SLOW, {10: 2, 0: 1})
        assert face.queues.list() == [
            Queue("mail", policy, policy, None, TEN),
            Queue("reports", QueuePolicy(FAST), QueuePolicy(FAST), None, TEN),
        ]

    @pytest.mark.parametrize("first", ["configured", "declared"])
    def test_what_was_configured_wins(self, face: Face, first: str):
        face.queues.declare("mail", aging=SLOW)
        if first == "declared":
            start(face)
        face.queues.configure("mail", aging=FAST)
        start(face)
        queue = face.queues.get("mail")
        assert queue.policy == queue.configured == QueuePolicy(FAST)
        assert queue.declared == QueuePolicy(SLOW)

    def test_strict_wins_over_a_declared_aging(self, face: Face):
        face.queues.declare("mail", aging=SLOW)
        start(face)
        queue = face.queues.configure("mail")
        assert queue == Queue("mail", STRICT, QueuePolicy(SLOW), STRICT, TEN)
        assert queue.policy.strict

    def test_what_did_not_change_is_not_written_again(self, face: Face, clock: Clock):
        face.queues.declare("mail", aging=Aging(after=600))
        face.queues.declare("reports", aging=FAST)
        start(face)
        clock.move(60)
        face.queues.declare("mail", aging=Aging(after=timedelta(minutes=10)))
        face.queues.declare("reports", aging=SLOW)
        start(face)
        changed = {queue.name: (queue.updated_at - TEN).seconds for queue in face.queues.list()}
        assert changed == {"mail": 0, "reports": 60}

    def test_the_last_word_in_the_code_counts(self, face: Face):
        face.queues.declare("mail", aging=SLOW)
        face.queues.declare("mail", weights={0: 1})
        start(face)
        assert face.queues.get("mail").policy == QueuePolicy(None, {0: 1})

    def test_the_app_whose_worker_started_last_counts(self, face: Face, new_face: OpenFace):
        other = new_face()
        face.queues.declare("mail", aging=SLOW)
        face.queues.declare("reports", aging=SLOW)
        other.queues.declare("mail", aging=FAST)
        other.queues.declare("orders", aging=FAST)
        start(face)
        start(other)
        assert {queue.name: queue.policy.aging for queue in face.queues.list()} == {
            "mail": FAST, "orders": FAST, "reports": SLOW
        }  # fmt: skip
        start(face)
        assert other.queues.get("mail").policy.aging == SLOW

    def test_what_is_no_longer_declared_stays(self, face: Face, new_face: OpenFace):
        face.queues.declare("mail", aging=SLOW)
        start(face)
        later = new_face()
        start(later)
        assert later.queues.get("mail").policy == QueuePolicy(SLOW)
        later.queues.declare("mail")
        start(later)
        assert later.queues.get("mail").policy == later.queues.get("mail").declared == STRICT


class TestARecord:
    def test_can_be_copied_sent_and_shown(self, face: Face):
        queue = face.queues.configure("mail", aging=FAST, weights={10: 3, 0: 1})
        for again in (copy.deepcopy(queue), pickle.loads(pickle.dumps(queue))):
            assert again == queue
            assert hash(again) == hash(queue)
        shown = dataclasses.asdict(queue)
        assert shown["policy"]["weights"] == {10: 3, 0: 1}
        assert isinstance(shown["updated_at"], datetime)

    def test_cannot_be_changed(self, face: Face):
        policy = face.queues.configure("mail", weights={10: 3}).policy
        for change in ("clear()", "update({5: 1})", "pop(10)", "__setitem__(10, 1)"):
            with pytest.raises(TypeError, match="make another"):
                eval(f"weights.{change}", {"weights": policy.weights})
        with pytest.raises(dataclasses.FrozenInstanceError):
            policy.aging = FAST
        assert face.queues.get("mail").policy.weights == {10: 3}


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ([], ["aged", "high"]),
        (["strict"], ["high", "aged"]),
        (["strict", "reset"], ["aged", "high"]),
    ],
    ids=["declared", "strict configured", "reset"],
)
def test_the_order_is_that_of_the_policy_that_holds(
    new_app: Callable[..., Dibs], mode: str, said: list[str], order: list[str]
):
    clock = Clock()
    notes = Notes(new_app(clock=clock))
    queues = notes.app.queues
    queues.declare("default", aging=Aging(after=10, every=1, step=20))
    for word in said:
        queues.configure("default") if word == "strict" else queues.reset("default")
    notes.wait("aged", Priority.LOW)
    clock.move(60)
    notes.wait("high", Priority.HIGH)
    assert notes.order(mode) == order
