"""Enqueueing: what comes back, where options come from, order, time, and many at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dibs.errors import DibsError, JobNotFoundError, StoreError
from dibs.model.job import Priority, State
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.spies import raw, record_statements

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def greet(name: str, times: int = 1) -> str:
    return name * times


def note(text: str) -> None: ...


@pytest.fixture
def noon(new_face: OpenFace) -> Face:
    """An app for which it is always noon."""
    return new_face(clock=lambda: NOON)


def options_of(job: Any) -> tuple[str, int, int]:
    return job.queue, job.priority, job.max_attempts


class TestTheReturnedJob:
    def test_has_every_field(self, noon: Face):
        greet_job = noon.handler(greet, queue="mail", priority=Priority.HIGH, max_attempts=3)
        job = greet_job.enqueue("ada", times=2)
        assert job.kind == "greet"
        assert options_of(job) == ("mail", 10, 3)
        assert job.state is State.READY
        assert job.args == {"name": "ada", "times": 2}
        assert job.attempt == job.crashes == 0
        assert job.scheduled_at == job.created_at == NOON
        assert job.started_at is job.finished_at is job.worker is job.result is None
        assert job.error is job.reason is None

    def test_equals_the_one_that_is_read(self, face: Face):
        job = face.handler(greet).enqueue("ada")
        assert face.jobs.get(job.id) == job

    def test_has_the_time_of_the_database(self, face: Face):
        before = datetime.now(UTC)
        job = face.handler(greet).enqueue("ada")
        assert before <= job.created_at <= datetime.now(UTC)

    def test_leaves_defaults_to_the_handler(self, face: Face):
        assert face.handler(greet).enqueue("ada").args == {"name": "ada"}

    def test_a_declared_function_is_still_the_function(self, face: Face):
        assert face.target.job(greet)("ada", times=2) == "adaada"


class TestOptions:
    def test_without_any(self, face: Face):
        assert options_of(face.handler(greet).enqueue("ada")) == ("default", Priority.LOW, 5)

    def test_overridden_call_by_call(self, face: Face):
        greet_job = face.handler(greet, queue="mail", priority=5, max_attempts=3)
        urgent = greet_job.using(priority=Priority.CRITICAL, queue="now", max_attempts=1)
        assert options_of(urgent.enqueue("ada")) == ("now", 20, 1)
        assert options_of(greet_job.using(priority=7).enqueue("ada")) == ("mail", 7, 3)
        assert options_of(greet_job.enqueue("ada")) == ("mail", 5, 3)

    def test_by_name(self, face: Face):
        face.handler(greet, kind="hello", queue="mail", priority=5)
        assert options_of(face.enqueue("hello", {"name": "ada"})) == ("mail", 5, 5)
        job = face.enqueue("hello", {"name": "ada"}, priority=-3, queue="q", max_attempts=9)
        assert (job.kind, *options_of(job)) == ("hello", "q", -3, 9)

    def test_by_name_without_args(self, face: Face):
        face.handler(lambda: None, kind="tick")
        assert face.enqueue("tick").args == {}

    def test_of_requests(self, face: Face):
        greet_job = face.handler(greet, queue="mail", priority=5)
        later = greet_job.using(delay=60, priority=9)
        ids = face.enqueue_many([greet_job.request("ada"), later.request("bob", times=3)])
        plain, delayed = map(face.jobs.get, ids)
        assert (*options_of(plain), plain.state) == ("mail", 5, 5, State.READY)
        assert (*options_of(delayed), delayed.state) == ("mail", 9, 5, State.SCHEDULED)
        assert delayed.args == {"name": "bob", "times": 3}

    @pytest.mark.parametrize("priority", [-32768, -1, 0, 32767])
    def test_any_priority_in_range(self, face: Face, priority: int):
        job = face.handler(greet).using(priority=priority).enqueue("ada")
        assert face.jobs.get(job.id).priority == priority

    def test_names_of_any_script(self, face: Face):
        job = face.handler(greet, kind="grüße 你好", queue="почта").enqueue("🎈")
        assert face.jobs.list(queue="почта", kind="grüße 你好") == [job]


class TestTime:
    @pytest.mark.parametrize("delay", [90, 90.0, timedelta(minutes=1.5)])
    def test_delay(self, noon: Face, delay: Any):
        job = noon.handler(greet).using(delay=delay).enqueue("ada")
        assert job.state is State.SCHEDULED
        assert job.scheduled_at == NOON + timedelta(seconds=90)
        assert noon.jobs.get(job.id) == job

    def test_no_delay_is_due_now(self, noon: Face):
        job = noon.handler(greet).using(delay=0).enqueue("ada")
        assert (job.state, job.scheduled_at) == (State.READY, NOON)

    def test_scheduled_at_in_another_time_zone(self, noon: Face):
        moment = (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-7)))
        job = noon.handler(greet).using(scheduled_at=moment).enqueue("ada")
        assert job.state is State.SCHEDULED
        assert job.scheduled_at == moment == NOON + timedelta(hours=1)
        assert job.scheduled_at.utcoffset() == timedelta(0)

    @pytest.mark.parametrize(
        "moment", [NOON, NOON - timedelta(microseconds=1), datetime(1, 1, 1, tzinfo=UTC)]
    )
    def test_what_is_due_is_ready_and_keeps_its_time(self, noon: Face, moment: datetime):
        job = noon.handler(greet).using(scheduled_at=moment).enqueue("ada")
        assert (job.state, job.scheduled_at) == (State.READY, moment)
        assert noon.jobs.get(job.id) == job

    @pytest.mark.parametrize(
        "moment", [NOON + timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)]
    )
    def test_what_is_not_due_is_scheduled(self, noon: Face, moment: datetime):
        job = noon.handler(greet).using(scheduled_at=moment).enqueue("ada")
        assert (job.state, job.scheduled_at) == (State.SCHEDULED, moment)
        assert noon.jobs.get(job.id) == job

    def test_the_last_of_delay_and_scheduled_at_counts(self, noon: Face):
        later = noon.handler(greet).using(delay=5)
        assert later.enqueue("ada").scheduled_at == NOON + timedelta(seconds=5)


class TestOrder:
    def test_ids_grow_and_ready_jobs_stand_in_line(self, face: Face):
        note_job = face.handler(note)
        ids = [note_job.enqueue(str(n)).id for n in range(20)]
        assert ids == sorted(set(ids))
        assert [job.id for job in face.jobs.list(state="ready")] == ids

    def test_many_keep_the_order_given(self, face: Face):
        note_job = face.handler(note)
        ids = face.enqueue_many(note_job.request(str(n)) for n in range(300))
        assert ids == sorted(set(ids))
        ready = face.jobs.list(state="ready", limit=300)
        assert [(job.id, job.args["text"]) for job in ready] == [
            (id_, str(n)) for n, id_ in enumerate(ids)
        ]


class TestMany:
    def test_tens_of_thousands_in_a_few_statements(
        self, face: Face, monkeypatch: pytest.MonkeyPatch
    ):
        note_job = face.handler(note)
        statements = record_statements(monkeypatch)
        face.enqueue_many([note_job.request("warm")])  # connected, tables made
        statements.clear()
        ids = face.enqueue_many(note_job.request(f"n{n}") for n in range(30_000))
        many = len(statements)
        assert len(set(ids)) == 30_000
        assert ids == sorted(ids)
        assert 1 <= many <= 20
        assert face.stats().states[State.READY] == 30_001
        assert [face.jobs.get(ids[n]).args["text"] for n in (0, 9_999, 10_000, 29_999)] == [
            "n0", "n9999", "n10000", "n29999"
        ]  # fmt: skip

    def test_none_at_all(self, face: Face):
        assert face.enqueue_many([]) == []
        assert face.rows() == (0, 0)

    def test_all_or_nothing_when_the_database_refuses(
        self, face: Face, tables_url: str, chunk: int
    ):
        face.jobs.list()
        raw(tables_url, "refuse_poison")
        note_job = face.handler(note)
        poison = face.handler(note, kind="poison")
        requests = [note_job.request("x") for _ in range(chunk + 1)]  # two statements
        with pytest.raises(StoreError, match="poison refused"):
            face.enqueue_many([*requests, poison.request("y")])
        assert face.rows() == (0, 0)
        assert len(face.enqueue_many(requests[:3])) == 3

    def test_all_or_nothing_when_one_is_no_request(self, face: Face):
        note_job = face.handler(note)
        with pytest.raises(DibsError, match=r"request\("):
            face.enqueue_many([note_job.request("x"), json.dumps({"text": "y"})])
        assert face.rows() == (0, 0)

    def test_a_request_alone_stores_nothing(self, face: Face):
        face.handler(note).request("x")
        assert face.rows() == (0, 0)
        with pytest.raises(JobNotFoundError):
            face.jobs.get(1)
