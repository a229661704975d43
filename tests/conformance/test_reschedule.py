"""Changing the time of jobs that wait, wherever they do."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dibs import (
    Aging,
    Backoff,
    Dibs,
    InvalidJobError,
    Job,
    JobNotFoundError,
    JobStateError,
    Retry,
    State,
    Unique,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.notes import TEN, Clock
from tests.conformance.working import working
from tests.support.waiting import WITHIN

HOUR = timedelta(hours=1)


class Notes:
    """A handler that keeps what it was called with, at a time that a test may move."""

    def __init__(self, new_face: OpenFace) -> None:
        self.clock = Clock()
        self.called: list[str] = []
        self.face = new_face(clock=self.clock)
        self.handler = self.face.handler(self._note, kind="note")

    async def _note(self, text: str) -> None:
        self.called.append(text)

    def add(self, text: str, **options: Any) -> Job:
        job: Job = self.handler.using(**options).enqueue(text)
        return job

    def move(self, job: Job, **when: Any) -> Job:
        moved: Job = self.face.jobs.reschedule(job.id, **when)
        assert self.face.jobs.get(job.id) == moved
        return moved

    def order(self) -> list[str]:
        """Run what is due, one after the other, and return what was called since the last time."""
        self.called.clear()
        self.face.work(concurrency=1)
        return list(self.called)


@pytest.fixture
def notes(new_face: OpenFace) -> Notes:
    return Notes(new_face)


class TestWhatIsReady:
    def test_waits_for_its_new_time(self, notes: Notes):
        before = notes.add("a", priority=7)
        moved = notes.move(before, delay=60)
        due = TEN + timedelta(minutes=1)
        assert moved == replace(before, state=State.SCHEDULED, scheduled_at=due)
        assert notes.face.rows() == (1, 1)
        assert notes.order() == []
        notes.clock.move(60)
        assert notes.order() == ["a"]

    def test_stands_where_a_time_that_is_over_puts_it(self, notes: Notes):
        jobs = {text: notes.add(text) for text in ("a", "b", "c")}
        moved = notes.move(jobs["c"], scheduled_at=TEN - HOUR)
        assert (moved.state, moved.scheduled_at) == (State.READY, TEN - HOUR)
        notes.clock.move(1)
        assert notes.move(jobs["a"], delay=0).scheduled_at == notes.clock.now
        assert notes.order() == ["c", "b", "a"]

    def test_may_keep_its_time(self, notes: Notes):
        before = notes.add("a")
        assert notes.move(before, scheduled_at=TEN) == before
        assert notes.order() == ["a"]

    def test_has_not_waited_then(self, notes: Notes):
        notes.face.queues.configure("default", aging=Aging(after=60, every=60))
        job = notes.add("a")
        notes.clock.move(120)
        assert notes.face.jobs.get(job.id).effective_priority == 2
        assert notes.move(job, delay=0).effective_priority == 0


class TestWhatIsScheduled:
    def test_is_ready_at_once(self, notes: Notes):
        job = notes.add("a", delay=HOUR, priority=3)
        moved = notes.move(job, delay=0)
        assert (moved.state, moved.scheduled_at, moved.priority) == (State.READY, TEN, 3)
        assert notes.order() == ["a"]

    @pytest.mark.parametrize("minutes", [30, 60, 90])
    def test_is_scheduled_for_another_time(self, notes: Notes, minutes: int):
        job = notes.add("a", delay=HOUR)
        due = TEN + timedelta(minutes=minutes)
        assert notes.move(job, scheduled_at=due) == replace(job, scheduled_at=due)
        notes.clock.move(minutes * 60 - 1)
        assert notes.order() == []
        notes.clock.move(1)
        assert notes.order() == ["a"]

    def test_keeps_what_happened_to_it(self, notes: Notes):
        def fail() -> None:
            raise ValueError("no luck")

        retry = Retry(backoff=Backoff.fixed(3600))
        job = notes.face.handler(fail, retry=retry, max_attempts=2).enqueue()
        notes.face.work()
        failed = notes.face.jobs.get(job.id)
        assert (failed.state, failed.attempt) == (State.SCHEDULED, 1)
        assert notes.move(job, delay=0) == replace(failed, state=State.READY, scheduled_at=TEN)
        notes.face.work()
        assert notes.face.jobs.get(job.id).state is State.DEAD
        assert [one.attempt for one in notes.face.jobs.attempts(job.id)] == [1, 2]


class TestWhatIsBlocked:
    @pytest.fixture
    def blocked(self, notes: Notes) -> Job:
        notes.face.kinds.pause("note")
        job = notes.add("a")
        notes.face.work()
        return notes.face.jobs.get(job.id)

    def test_is_scheduled(self, notes: Notes, blocked: Job):
        moved = notes.move(blocked, delay=HOUR)
        due = {"state": State.SCHEDULED, "scheduled_at": TEN + HOUR, "reason": None}
        assert moved == replace(blocked, **due)
        notes.face.kinds.resume("note")
        notes.clock.move(3600)
        assert notes.order() == ["a"]

    def test_stays_so_where_its_time_has_come(self, notes: Notes, blocked: Job):
        moved = notes.move(blocked, scheduled_at=TEN - HOUR)
        assert moved == replace(blocked, scheduled_at=TEN - HOUR)
        assert notes.face.rows() == (1, 1)
        notes.face.kinds.resume("note")
        assert notes.order() == ["a"]


def test_its_key_is_held_until_its_new_time(notes: Notes):
    unique = Unique(key="k", during="waiting")
    job = notes.add("a", unique=unique)
    notes.move(job, delay=60)
    assert notes.add("b", unique=unique).id == job.id
    notes.clock.move(60)
    assert notes.order() == ["a"]
    assert notes.add("c", unique=unique).id != job.id


class TestIsRefused:
    def test_what_runs_or_has_ended(self, notes: Notes):
        said = []

        def meddle() -> None:
            try:
                notes.face.target.jobs.reschedule(running.id, delay=1)
            except JobStateError as error:
                said.append(str(error))

        running = notes.face.handler(meddle).enqueue()
        cancelled = notes.face.jobs.cancel(notes.add("a").id)
        notes.face.work()
        [refused] = said
        assert refused.startswith(f"cannot reschedule job {running.id}: it is running; ")
        for job in (running, cancelled):
            before = notes.face.jobs.get(job.id)
            with pytest.raises(JobStateError, match=r"scheduled, blocked or ready"):
                notes.face.jobs.reschedule(job.id, delay=1)
            assert notes.face.jobs.get(job.id) == before

    def test_an_unknown_job(self, face: Face):
        with pytest.raises(JobNotFoundError):
            face.jobs.reschedule(1, delay=0)

    def test_bad_times_before_anything_is_opened(self, new_face: OpenFace):
        nowhere = new_face("postgresql://nobody@127.0.0.1:1/nowhere").jobs
        naive = datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point
        for when, says in (
            ({}, "give delay or scheduled_at"),
            ({"delay": 1, "scheduled_at": TEN}, "give one of them"),
            ({"scheduled_at": naive}, "has no time zone"),
            ({"scheduled_at": 60}, "expected an aware datetime"),
            ({"delay": -1}, "delay=-1: expected at least 0"),
            ({"delay": "soon"}, "delay='soon': expected seconds"),
        ):
            with pytest.raises(InvalidJobError, match=says):
                nowhere.reschedule(1, **when)


@pytest.mark.parametrize("delay", [0, 0.2])
def test_an_idle_worker_is_told(database_url: str, delay: float):
    app, ran = Dibs(database_url), threading.Event()
    app.migrate()
    job = app.job(ran.set, kind="note").using(delay=3600).enqueue()
    with working(app, poll=60) as worker:
        assert worker.started.wait(WITHIN)
        app.jobs.reschedule(job.id, delay=delay)
        assert ran.wait(WITHIN)
    app.close()
