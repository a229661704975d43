"""A job enqueued on a caller's connection exists if and only if its transaction commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dibs import JobNotFoundError
from dibs.model.job import State
from tests.conformance.callers import EVERY_KIND, KINDS, Caller, caller_of, is_async
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.spies import count_connections, raw

ONE = "INSERT INTO orders VALUES (1)"

CASES = [
    pytest.param(engine, mode, kind, id=f"{engine}-{mode}-{kind}")
    for engine, kinds in KINDS.items()
    for kind in kinds
    for mode in ("sync", "async")
    if mode == "async" or not is_async(kind)  # the sync face refuses those: test_connections.py
]


def confirm(order: int) -> None: ...


def in_every_way(face: Face, connection: object) -> list[int]:
    """Enqueue by handler, by name and many at once; return the ids."""
    handler = face.handler(confirm)
    one = handler.using(connection=connection).enqueue(1)
    named = face.enqueue("confirm", {"order": 1}, connection=connection, delay=60)
    requests = [handler.request(n) for n in range(3)]
    return [one.id, named.id, *face.enqueue_many(requests, connection=connection)]


@pytest.fixture
def orders(face: Face, tables_url: str) -> Callable[[], int]:
    """A table of the application, and how many rows others see in it."""
    assert face.jobs.list() == []  # the tables are there
    raw(tables_url, "CREATE TABLE orders (id INTEGER)")
    return lambda: raw(tables_url, "SELECT COUNT(*) FROM orders")[0][0]


@pytest.fixture
def caller(orders: object, face: Face, kind: str, tables_url: str) -> Iterator[Caller]:
    with caller_of(kind, tables_url, face.runner) as caller:
        yield caller


@pytest.mark.parametrize(("engine", "mode", "kind"), CASES)
class TestATransaction:
    def test_that_commits_brings_the_job_then_and_not_before(
        self, face: Face, caller: Caller, orders: Callable[[], int]
    ):
        caller.begin()
        caller.execute(ONE)
        ids = in_every_way(face, caller.connection)
        assert (orders(), face.rows()) == (0, (0, 0))
        with pytest.raises(JobNotFoundError):
            face.jobs.get(ids[0])
        caller.commit()
        assert (orders(), face.rows()) == (1, (len(ids), len(ids)))
        assert [face.jobs.get(id_).args["order"] for id_ in ids] == [1, 1, 0, 1, 2]

    def test_that_rolls_back_leaves_nothing(
        self, face: Face, caller: Caller, orders: Callable[[], int]
    ):
        caller.begin()
        caller.execute(ONE)
        ids = in_every_way(face, caller.connection)
        caller.rollback()
        assert (orders(), face.rows()) == (0, (0, 0))
        with pytest.raises(JobNotFoundError):
            face.jobs.get(ids[0])

    def test_may_begin_with_the_job(self, face: Face, caller: Caller, orders: Callable[[], int]):
        caller.begin()
        in_every_way(face, caller.connection)
        caller.rollback()
        assert face.rows() == (0, 0)
        caller.begin()
        ids = in_every_way(face, caller.connection)
        caller.execute(ONE)
        assert (orders(), face.rows()) == (0, (0, 0))
        caller.commit()
        assert (orders(), face.rows()) == (1, (len(ids), len(ids)))


@pytest.mark.parametrize(("engine", "mode", "kind"), CASES)
class TestTheConnection:
    def test_is_the_only_one(
        self, new_face: OpenFace, caller: Caller, tables_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        unused = new_face()
        caller.begin()
        caller.execute(ONE)
        connections = count_connections(tables_url, monkeypatch)
        before = connections()
        in_every_way(unused, caller.connection)
        assert connections() <= before
        caller.commit()
        assert connections() <= before

    def test_returns_what_is_then_read(self, face: Face, caller: Caller):
        caller.begin()
        job = face.handler(confirm, queue="q").using(connection=caller.connection).enqueue(1)
        caller.commit()
        assert face.jobs.get(job.id) == job

    def test_stays_usable_by_its_owner(self, face: Face, caller: Caller, orders: Callable[[], int]):
        for _ in range(3):
            caller.begin()
            in_every_way(face, caller.connection)
            caller.execute(ONE)
            caller.commit()
        assert (orders(), face.rows()) == (3, (15, 15))


@pytest.mark.parametrize(("engine", "kind"), EVERY_KIND)
@pytest.mark.parametrize("mode", ["async"])
def test_what_needs_several_statements(face: Face, caller: Caller, chunk: int):
    requests = [face.handler(confirm).request(1)] * (chunk + 1)
    caller.begin()
    face.enqueue_many(requests, connection=caller.connection)
    assert face.stats().states[State.READY] == 0
    caller.commit()
    assert face.stats().states[State.READY] == len(requests)
