"""Unique jobs in bulk, and in callers' transactions."""

from __future__ import annotations

import pytest

from dibs import Unique
from dibs.errors import DuplicateJobError
from dibs.model.job import State
from dibs.model.lines import Demand, Serving
from dibs.store.ops.claim import job_claim
from tests.conformance.callers import KINDS, caller_of, is_async
from tests.conformance.face import Face
from tests.conformance.spies import raw, record_statements
from tests.conformance.test_unique import invoice

KEYS = "SELECT COUNT(*) FROM dibs_keys"


class TestMany:
    def test_the_first_of_a_batch_wins(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id"]))
        before = handler.enqueue(0)
        requests = [handler.request(n % 3, note=str(n)) for n in range(9)]
        ids = face.enqueue_many(requests)
        assert ids == [before.id, ids[1], ids[2]] * 3
        assert len(set(ids)) == 3
        assert [face.jobs.get(id_).args.get("note") for id_ in ids[:3]] == [None, "1", "2"]

    def test_skipped_ones_have_no_id(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="skip"))
        before = handler.enqueue(0)
        ids = face.enqueue_many([handler.request(n % 3, note=str(n)) for n in range(9)])
        assert len(ids) == 2
        assert before.id not in ids

    def test_the_last_of_a_batch_replaces(self, face: Face):
        handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="replace"))
        before = handler.enqueue(0)
        ids = face.enqueue_many([handler.request(n % 2, note=str(n)) for n in range(6)])
        assert ids == [before.id, ids[1]] * 3
        assert [face.jobs.get(id_).args["note"] for id_ in ids[:2]] == ["4", "5"]
        assert face.rows() == (2, 2)

    def test_all_or_nothing_where_one_raises(self, face: Face, tables_url: str):
        handler = face.handler(invoice)
        strict = handler.using(unique=Unique(on_conflict="raise"))
        held = strict.enqueue(0)
        loose = handler.using(unique=Unique(key="{order_id}"))
        for last in (0, 1):  # of another enqueue, and of the same
            with pytest.raises(DuplicateJobError):
                face.enqueue_many(
                    [loose.request(7), handler.request(8), strict.request(1), strict.request(last)]
                )
        assert [job.id for job in face.jobs.list()] == [held.id]
        assert raw(tables_url, KEYS) == [(1,)]

    def test_thousands_in_a_few_statements(self, face: Face, monkeypatch: pytest.MonkeyPatch):
        handler = face.handler(invoice, unique=Unique())
        requests = [handler.request(n) for n in range(12_000)]
        ids = face.enqueue_many(requests)
        assert ids == sorted(set(ids))
        statements = record_statements(monkeypatch)
        assert face.enqueue_many(requests) == ids
        assert len(statements) < 30

    def test_jobs_without_a_key_take_one_statement(
        self, face: Face, monkeypatch: pytest.MonkeyPatch
    ):
        statements = record_statements(monkeypatch)
        handler = face.handler(invoice)
        handler.enqueue(0)
        statements.clear()
        handler.enqueue(1)
        assert not [text for text in statements if "dibs_keys" in text]


CASES = [
    pytest.param(engine, mode, kind, id=f"{engine}-{mode}-{kind}")
    for engine, kinds in KINDS.items()
    for kind in kinds
    for mode in ("sync", "async")
    if (mode == "async") == is_async(kind)
]


@pytest.mark.parametrize(("engine", "mode", "kind"), CASES)
def test_in_every_caller_s_transaction(face: Face, kind: str, tables_url: str):
    handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="replace"))
    strict = handler.using(unique=Unique(by=["order_id"], on_conflict="raise"))
    kept = handler.enqueue(0)
    with caller_of(kind, tables_url, face.runner) as caller:
        using = handler.using(connection=caller.connection)
        caller.begin()
        job = using.enqueue(1)
        assert using.enqueue(1, note="b").id == job.id
        caller.rollback()
        assert (face.rows(), raw(tables_url, KEYS)) == ((1, 1), [(1,)])
        caller.begin()
        job = using.enqueue(1)
        ids = face.enqueue_many(
            [handler.request(n, note="c") for n in (0, 1, 2)], connection=caller.connection
        )
        with pytest.raises(DuplicateJobError):  # it leaves nothing in the transaction
            face.enqueue_many([strict.request(9), strict.request(1)], connection=caller.connection)
        caller.commit()
    assert ids[:2] == [kept.id, job.id]
    assert (face.rows(), raw(tables_url, KEYS)) == ((3, 3), [(3,)])
    assert {face.jobs.get(id_).args["note"] for id_ in ids} == {"c"}
    face.work()
    assert face.stats().states[State.COMPLETED] == 3
    assert raw(tables_url, KEYS) == [(0,)]


@pytest.mark.parametrize("before", [True, False], ids=["with rows", "not begun"])
@pytest.mark.parametrize(("engine", "mode", "kind"), CASES)
def test_a_refused_batch_leaves_a_caller_s_transaction_as_it_was(
    face: Face, kind: str, tables_url: str, before: bool
):
    handler = face.handler(invoice, unique=Unique(by=["order_id"], on_conflict="replace"))
    running = handler.enqueue(0)
    serving = Serving(("default",))
    assert face.target.store.run(job_claim("w", serving, [running.kind], Demand(1))).jobs
    waiting = handler.enqueue(1)
    batch = [handler.request(n, note="refused") for n in (1, 2, 0)]
    with caller_of(kind, tables_url, face.runner) as caller:
        using = handler.using(connection=caller.connection)
        caller.begin()
        if before:
            using.enqueue(3, note="before")
        with pytest.raises(DuplicateJobError, match="running"):
            face.enqueue_many(batch, connection=caller.connection)
        after = using.enqueue(4, note="after")
        assert face.rows() == (2, 2)  # nothing was committed
        caller.commit()
    assert face.jobs.get(waiting.id) == waiting
    assert face.jobs.get(after.id).args["note"] == "after"
    notes = {job.args["order_id"]: job.args.get("note") for job in face.jobs.list()}
    assert notes == {0: None, 1: None, 4: "after"} | ({3: "before"} if before else {})
    assert raw(tables_url, KEYS) == [(len(notes),)]
    assert raw(tables_url, f"{KEYS} WHERE job_id = 0") == [(0,)]
