"""Changing the priority of jobs that wait, wherever they do."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dibs import InvalidJobError, Job, JobContext, JobNotFoundError, JobStateError, Priority, State
from dibs.model.job import NewJob
from dibs.model.lines import Serving
from dibs.store.ops.enqueue import job_enqueue
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.support.waiting import WITHIN

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Notes:
    """A handler that keeps what it was called with, at a time that a test may move."""

    def __init__(self, new_face: OpenFace) -> None:
        self.now = NOON
        self.called: list[str] = []
        self.face = new_face(clock=lambda: self.now)
        self.handler = self.face.handler(self._note, kind="note")

    async def _note(self, text: str) -> None:
        self.called.append(text)

    def add(self, text: str, priority: int = 0, *, minutes: float = 0) -> Job:
        """Enqueue a job that is due so many minutes from now."""
        due = self.now + timedelta(minutes=minutes)
        job: Job = self.handler.using(priority=priority, scheduled_at=due).enqueue(text)
        return job

    def waiting(self, state: str = "ready") -> list[str]:
        return [job.args["text"] for job in self.face.jobs.list(state=state)]

    def order(self) -> list[str]:
        """Run what is due, one after the other, and return what was called since the last time."""
        self.called.clear()
        self.face.work(concurrency=1)
        return list(self.called)


@pytest.fixture
def notes(new_face: OpenFace) -> Notes:
    return Notes(new_face)


class TestWhatIsReady:
    def test_changes_its_turn(self, notes: Notes):
        jobs = {text: notes.add(text) for text in ("a", "b", "c")}
        notes.face.jobs.reprioritize(jobs["c"].id, 20)
        notes.face.jobs.reprioritize(jobs["a"].id, -1)
        assert notes.waiting() == ["c", "b", "a"]
        assert [line.priority for line in notes.face.stats().lines] == [20, 0, -1]
        assert notes.order() == ["c", "b", "a"]

    def test_stands_in_its_new_line_where_its_time_puts_it(self, notes: Notes):
        for minutes in (-5, -3, -1):
            notes.add(f"high {minutes}", 10, minutes=minutes)
        middle = notes.add("moved -2", minutes=-2)
        last = notes.add("moved 0")
        first = notes.add("moved -9", 20, minutes=-9)
        for job in (last, middle, first):
            notes.face.jobs.reprioritize(job.id, 10)
        assert notes.order() == [
            "moved -9", "high -5", "high -3", "moved -2", "high -1", "moved 0"
        ]  # fmt: skip

    def test_differs_in_nothing_else(self, notes: Notes):
        before = notes.face.jobs.get(notes.add("a").id)
        after = notes.face.jobs.reprioritize(before.id, Priority.HIGH)
        assert after == replace(before, priority=10, effective_priority=10)
        assert type(after.priority) is int
        assert notes.face.jobs.get(before.id) == after
        assert notes.face.rows() == (1, 1)

    def test_may_keep_its_priority(self, notes: Notes):
        before = notes.face.jobs.get(notes.add("a", 3).id)
        assert notes.face.jobs.reprioritize(before.id, 3) == before
        assert notes.order() == ["a"]

    @pytest.mark.parametrize("priority", [-32768, 32767])
    def test_to_the_ends_of_the_range(self, notes: Notes, priority: int):
        moved = notes.face.jobs.reprioritize(notes.add("a").id, priority)
        assert moved.priority == priority
        assert notes.order() == ["a"]
        assert notes.face.jobs.get(moved.id).priority == priority

    def test_can_be_cancelled_then(self, notes: Notes):
        moved = notes.face.jobs.reprioritize(notes.add("a").id, 7)
        ended = notes.face.jobs.cancel(moved.id)
        assert (ended.state, ended.priority) == (State.CANCELLED, 7)
        assert notes.face.rows() == (1, 1)


def test_what_is_scheduled_keeps_its_time_and_has_its_priority_when_it_is_due(notes: Notes):
    before = notes.face.jobs.get(notes.add("moved", minutes=2).id)
    notes.add("other", 5, minutes=1)
    after = notes.face.jobs.reprioritize(before.id, 10)
    assert after == replace(before, priority=10, effective_priority=10)
    assert after.state is State.SCHEDULED
    assert notes.waiting("scheduled") == ["other", "moved"]
    assert notes.order() == []
    notes.now += timedelta(minutes=2)
    assert notes.order() == ["moved", "other"]


def test_what_is_blocked_stays_so_until_its_kind_is_known(new_face: OpenFace, notes: Notes):
    jobs = {text: notes.add(text) for text in ("a", "b", "c")}
    stranger = new_face(clock=lambda: NOON)
    stranger.handler(lambda: None, kind="other")
    stranger.work()
    before = notes.face.jobs.get(jobs["c"].id)
    assert (before.state, before.reason) == (State.BLOCKED, "kind:note")
    assert notes.face.jobs.reprioritize(before.id, 1) == replace(
        before, priority=1, effective_priority=1
    )
    assert notes.waiting("blocked") == ["c", "a", "b"]
    assert notes.order() == ["c", "a", "b"]


class TestIsRefused:
    def test_what_runs(self, face: Face):
        app = face.target

        def meddle(ctx: JobContext) -> str:
            with pytest.raises(JobStateError) as refused:
                app.jobs.reprioritize(ctx.job_id, 5)
            return str(refused.value)

        job = face.handler(meddle).enqueue()
        face.work()
        done = face.jobs.get(job.id)
        assert (done.priority, done.state) == (0, State.COMPLETED)
        assert done.result.startswith(f"cannot reprioritize job {job.id}: it is running; ")

    def test_what_ended(self, notes: Notes):
        def fail() -> None:
            raise ValueError("as always")

        cancelled = notes.add("cancelled").id
        notes.face.jobs.cancel(cancelled)
        completed = notes.add("completed").id
        dead = notes.face.handler(fail, max_attempts=1).enqueue().id
        notes.face.work()
        for id_, state in {cancelled: "cancelled", completed: "completed", dead: "dead"}.items():
            before = notes.face.jobs.get(id_)
            said = rf"reprioritize job {id_}: it is {state}; .*scheduled, blocked or ready"
            with pytest.raises(JobStateError, match=said):
                notes.face.jobs.reprioritize(id_, 5)
            assert notes.face.jobs.get(id_) == before

    def test_an_unknown_job(self, face: Face):
        with pytest.raises(JobNotFoundError):
            face.jobs.reprioritize(1, 5)

    def test_a_bad_priority_before_anything_is_opened(self, new_face: OpenFace):
        nowhere = new_face("postgresql://nobody@127.0.0.1:1/nowhere")
        with pytest.raises(InvalidJobError, match="priority=40000"):
            nowhere.jobs.reprioritize(1, 40_000)


def test_idle_workers_are_told(face: Face):
    store = face.target.store
    [job] = store.run(job_enqueue([NewJob("note", "{}", "mail")]))  # tells nobody
    told = threading.Event()
    watch = store.watch(Serving(("mail",)), told.set)
    try:
        assert told.wait(WITHIN), "a watch begins with a look"
        told.clear()
        face.jobs.reprioritize(job.id, 5)
        assert told.wait(WITHIN)
    finally:
        watch.close()
