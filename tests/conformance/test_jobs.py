"""Looking at jobs, calling them off, and counting them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import (
    AttemptOutcome,
    Backoff,
    DibsError,
    Job,
    JobNotFoundError,
    JobStateError,
    Retry,
    Snooze,
    State,
)
from dibs.store.ops.jobs import Attempt
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def note(text: str = "") -> None: ...


def fail(times: int) -> None:
    raise ValueError(f"one of {times}")


def wait() -> Snooze:
    return Snooze(3600)


def answer() -> dict[str, int]:
    return {"answer": 42}


def ids(jobs: list[Job]) -> list[int]:
    return [job.id for job in jobs]


class TestGet:
    def test_what_completed(self, face: Face):
        job = face.handler(answer, queue="q", priority=3).enqueue()
        face.work()
        done = face.jobs.get(job.id)
        assert (done.state, done.result, done.error, done.reason) == (
            State.COMPLETED, {"answer": 42}, None, None
        )  # fmt: skip
        assert (done.queue, done.priority, done.attempt) == ("q", 3, 1)
        assert (done.created_at, done.scheduled_at) == (job.created_at, job.scheduled_at)
        assert job.created_at <= done.started_at <= done.finished_at
        assert done.worker

    def test_what_died(self, face: Face):
        job = face.handler(fail, max_attempts=1).enqueue(1)
        face.work()
        dead = face.jobs.get(job.id)
        assert (dead.state, dead.reason, dead.attempt) == (State.DEAD, "attempts_exhausted", 1)
        assert "one of 1" in dead.error

    def test_what_snoozes(self, face: Face):
        job = face.handler(wait).enqueue()
        face.work()
        snoozing = face.jobs.get(job.id)
        assert (snoozing.state, snoozing.attempt) == (State.SCHEDULED, 0)
        assert snoozing.scheduled_at - job.created_at >= timedelta(hours=1)


class TestAttempts:
    def test_of_a_job_that_fails(self, face: Face):
        at_once = Retry(backoff=Backoff.fixed(0))
        job = face.handler(fail, max_attempts=3, retry=at_once).enqueue(3)
        face.work()
        attempts = face.jobs.attempts(job.id)
        assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
        for attempt in attempts:
            assert (attempt.error_type, attempt.error) == ("ValueError", "one of 3")
            assert "raise ValueError" in attempt.traceback
            assert attempt.outcome is AttemptOutcome.FAILED
            assert attempt.worker
            assert attempt.started_at <= attempt.finished_at

    def test_of_one_that_never_failed(self, face: Face):
        job = face.handler(note).enqueue()
        assert face.jobs.attempts(job.id) == []
        face.work()
        done = face.jobs.get(job.id)
        assert face.jobs.attempts(job.id) == [
            Attempt(1, AttemptOutcome.COMPLETED, done.worker, done.started_at, done.finished_at)
        ]

    def test_of_one_that_was_snoozed(self, face: Face):
        naps = [Snooze(0), Snooze(0), None]
        job = face.handler(lambda: naps.pop(0), kind="nap").enqueue()
        face.work()
        records = [(record.attempt, record.outcome) for record in face.jobs.attempts(job.id)]
        assert records == [(1, "snoozed"), (1, "snoozed"), (1, "completed")]

    def test_of_an_unknown_job(self, face: Face):
        with pytest.raises(JobNotFoundError, match="no job has the id 12345"):
            face.jobs.attempts(12345)


class TestList:
    @pytest.fixture
    def jobs(self, new_face: OpenFace) -> tuple[Face, dict[str, Job]]:
        face = new_face(clock=lambda: NOON)
        a, b = face.handler(note, kind="a"), face.handler(note, kind="b")
        enqueuers = {
            "late": a.using(delay=20),
            "low": a.using(queue="q"),
            "high": b.using(priority=10),
            "soon": b.using(delay=10, queue="q", priority=10),
            "low again": a.using(queue="q"),
            "overdue": a.using(scheduled_at=NOON - timedelta(seconds=1)),
            "same time": a.using(delay=20),
        }
        return face, {name: enqueuer.enqueue(name) for name, enqueuer in enqueuers.items()}

    def names(self, face: Face, **filters: Any) -> list[str]:
        return [job.args["text"] for job in face.jobs.list(**filters)]

    def test_ready_in_claim_order(self, jobs: Any):
        assert self.names(jobs[0], state=State.READY) == ["high", "overdue", "low", "low again"]

    def test_scheduled_by_due_time(self, jobs: Any):
        assert self.names(jobs[0], state="scheduled") == ["soon", "late", "same time"]

    def test_any_state_newest_first(self, jobs: Any):
        face, by_name = jobs
        face.jobs.cancel(by_name["high"].id)
        assert self.names(face) == list(reversed(by_name))
        assert self.names(face, limit=3) == ["same time", "overdue", "low again"]

    def test_ended_newest_first(self, jobs: Any):
        face, by_name = jobs
        for name in ("high", "late", "soon"):
            face.jobs.cancel(by_name[name].id)
        assert self.names(face, state="cancelled") == ["soon", "high", "late"]
        assert self.names(face, state="completed") == []

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({"queue": "q"}, ["low again", "soon", "low"]),
            ({"kind": "b"}, ["soon", "high"]),
            ({"kind": "b", "queue": "q"}, ["soon"]),
            ({"kind": "b", "queue": "q", "state": "ready"}, []),
            ({"queue": "q", "state": "ready"}, ["low", "low again"]),
            ({"queue": "q", "state": "ready", "limit": 1}, ["low"]),
            ({"kind": "a", "state": "scheduled", "limit": 1}, ["late"]),
            ({"queue": "nowhere"}, []),
            ({"kind": "nothing", "state": "dead"}, []),
            ({"state": "running"}, []),
            ({"state": "blocked"}, []),
        ],
        ids=str,
    )
    def test_filtered(self, jobs: Any, filters: dict[str, Any], found: list[str]):
        assert self.names(jobs[0], **filters) == found

    def test_dead_the_latest_first(self, face: Face):
        handler = face.handler(fail, max_attempts=1)
        first = handler.enqueue(1)
        face.work()
        second = handler.enqueue(2)
        face.work()
        assert ids(face.jobs.list(state="dead")) == [second.id, first.id]


class TestCancel:
    def test_what_is_ready(self, face: Face):
        job = face.handler(note).enqueue()
        ended = face.jobs.cancel(job.id, "no longer wanted")
        assert (ended.state, ended.reason) == (State.CANCELLED, "no longer wanted")
        assert ended.finished_at >= job.created_at
        assert (ended.attempt, ended.started_at, ended.worker) == (0, None, None)
        assert face.jobs.get(job.id) == ended
        assert face.stats().waiting == 0

    def test_what_is_scheduled(self, face: Face):
        job = face.handler(note).using(delay=60).enqueue()
        ended = face.jobs.cancel(job.id)
        assert (ended.state, ended.reason) == (State.CANCELLED, None)
        assert ended.scheduled_at == job.scheduled_at
        assert face.jobs.get(job.id) == ended
        assert face.rows() == (1, 1)

    def test_is_never_run(self, face: Face):
        called = []
        handler = face.handler(lambda: called.append(1), kind="call")
        face.jobs.cancel(handler.enqueue().id)
        face.work()
        assert called == []

    def test_what_ended_is_refused(self, face: Face):
        cancelled = face.handler(note).enqueue().id
        face.jobs.cancel(cancelled)
        completed = face.handler(answer).enqueue().id
        dead = face.handler(fail, max_attempts=1).enqueue(1).id
        face.work()
        for id_, state in {cancelled: "cancelled", completed: "completed", dead: "dead"}.items():
            before = face.jobs.get(id_)
            with pytest.raises(JobStateError, match=rf"cancel job {id_}: it is {state}; .*ready"):
                face.jobs.cancel(id_)
            assert face.jobs.get(id_) == before

    def test_twice_at_once_is_done_once(self, face: Face):
        job = face.handler(note).enqueue()
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(face.jobs.cancel(job.id).state)
            except DibsError as error:
                outcomes.append(type(error))
        assert outcomes == [State.CANCELLED, JobStateError]

    def test_of_an_unknown_job(self, face: Face):
        with pytest.raises(JobNotFoundError):
            face.jobs.cancel(1)


class TestStats:
    def test_of_nothing(self, face: Face):
        stats = face.stats()
        assert stats.states == dict.fromkeys(State, 0)
        assert (stats.waiting, stats.failed_attempts) == (0, 0)
        assert (stats.queues, stats.kinds, stats.lines, stats.workers) == ([], [], [], [])

    def test_of_jobs_in_every_state(self, face: Face):
        noted = face.handler(note, queue="q")
        retry = Retry(backoff=Backoff.fixed(0))
        face.handler(fail, max_attempts=2, retry=retry).using(priority=1).enqueue(2)
        answered = face.handler(answer)
        face.enqueue_many([answered.request()] * 3)
        face.work(queues=["default"])
        for priority in (5, 5, 0):
            noted.using(priority=priority).enqueue()
        answered.using(delay=60).enqueue()
        face.jobs.cancel(noted.enqueue().id)
        stats = face.stats()
        assert {state: count for state, count in stats.states.items() if count} == {
            "ready": 3, "scheduled": 1, "completed": 3, "cancelled": 1, "dead": 1
        }  # fmt: skip
        assert (stats.waiting, stats.failed_attempts) == (4, 1)  # the last one is the death
        by_queue = {group.name: group.states for group in stats.queues}
        assert (by_queue["q"]["ready"], by_queue["q"]["cancelled"]) == (3, 1)
        assert (by_queue["default"]["completed"], by_queue["default"]["dead"]) == (3, 1)
        by_kind = {group.name: group.states for group in stats.kinds}
        assert sorted(by_kind) == ["answer", "fail", "note"]
        assert (by_kind["answer"]["completed"], by_kind["answer"]["scheduled"]) == (3, 1)
        assert [(line.queue, line.priority, line.ready) for line in stats.lines] == [
            ("q", 5, 2), ("q", 0, 1)
        ]  # fmt: skip

    def test_how_long_the_oldest_waits(self, new_face: OpenFace):
        face = new_face(clock=lambda: NOON)
        handler = face.handler(note)
        for minutes in (1, 7, 3):
            handler.using(scheduled_at=NOON - timedelta(minutes=minutes)).enqueue()
        (line,) = face.stats().lines
        assert line.oldest_age == timedelta(minutes=7)
        assert face.stats().at == NOON
