"""Dead letters of unique jobs, as their users declare them: a replay never makes a second one."""

from __future__ import annotations

from typing import Any

import pytest

from dibs import DeadResult, KeyInUseError, State, Unique
from tests.conformance.face import Face


@pytest.fixture
def invoice(face: Face) -> Any:
    """The handler of a job that there is once for an order; asked to, it fails."""

    def invoice(order_id: int, fail: bool = False) -> None:
        if fail:
            raise ValueError("no paper")

    return face.handler(invoice, max_attempts=1, unique=Unique(by=["order_id"]))


def buried(face: Face, invoice: Any, order_id: int) -> int:
    job = invoice.enqueue(order_id, fail=True)
    face.work()
    assert face.jobs.get(job.id).state is State.DEAD
    return job.id


def test_the_key_is_free_while_it_is_dead_and_taken_by_the_replay(face: Face, invoice: Any):
    dead = buried(face, invoice, 1)
    other = invoice.enqueue(1)
    assert not other.duplicate
    with pytest.raises(KeyInUseError, match=f"held by job {other.id}"):
        face.dead.replay(dead)
    face.work()
    assert face.dead.replay(dead) == DeadResult(1)
    again = invoice.enqueue(1)
    assert (again.id, again.duplicate) == (dead, True)


def test_edited_args_have_the_key_that_goes_with_them(face: Face, invoice: Any):
    dead = buried(face, invoice, 1)
    assert face.dead.replay(dead, args={"order_id": 2}) == DeadResult(1)
    first, second = invoice.enqueue(1), invoice.enqueue(2)
    assert (first.duplicate, second.duplicate, second.id) == (False, True, dead)
    face.work()
    assert not invoice.enqueue(2).duplicate


def test_edited_args_whose_key_is_held_change_nothing(face: Face, invoice: Any):
    dead = buried(face, invoice, 1)
    holder = invoice.enqueue(2)
    with pytest.raises(KeyInUseError, match=f"held by job {holder.id}"):
        face.dead.replay(dead, args={"order_id": 2})
    assert face.jobs.get(dead).args == {"order_id": 1, "fail": True}
    assert face.dead.replay(dead) == DeadResult(1)
    assert invoice.enqueue(1).id == dead
