"""Which job a worker runs next: priority, time, id; only what is due; only what it knows."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from dibs import Dibs, Priority, Snooze, State
from tests.conformance.notes import TEN, Clock, Notes
from tests.conformance.working import work, working
from tests.support.database import misplaced
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]
SEED = 20_240_504


class TestStrictOrder:
    def test_five_priorities(self, new_app: NewApp, mode: str):
        notes = Notes(new_app())
        for priority in (5, -7, 20, 0, 10):
            notes.note.using(priority=priority).enqueue(str(priority))
        assert notes.order(mode) == ["20", "10", "5", "0", "-7"]

    def test_low_first_high_after(self, new_app: NewApp, mode: str):
        notes = Notes(new_app())
        notes.note.using(priority=Priority.LOW).enqueue("low")
        notes.note.using(priority=Priority.HIGH).enqueue("high")
        assert notes.order(mode) == ["high", "low"]

    def test_the_four_jobs_of_the_example(self, new_app: NewApp, mode: str):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        for name, priority, due in (
            ("analytics sync", Priority.LOW, TEN - timedelta(minutes=5)),
            ("order confirmation", Priority.HIGH, TEN + timedelta(seconds=3)),
            ("password reset", Priority.CRITICAL, TEN + timedelta(seconds=5)),
            ("payment retry", Priority.HIGH, TEN + timedelta(seconds=1)),
        ):
            notes.note.using(priority=priority, scheduled_at=due).enqueue(name)
        clock.move(10)
        assert notes.order(mode) == [
            "password reset", "payment retry", "order confirmation", "analytics sync"
        ]  # fmt: skip

    def test_first_in_first_out_within_a_priority(self, new_app: NewApp):
        notes = Notes(new_app())
        names = [str(n) for n in range(100)]
        for name in names[:20]:
            notes.note.enqueue(name)
        notes.app.enqueue_many(notes.note.request(name) for name in names[20:])
        assert notes.order() == names

    def test_the_id_breaks_ties(self, new_app: NewApp):
        notes = Notes(new_app(clock=Clock()))  # all at the same moment
        names = [str(n) for n in range(50)]
        notes.app.enqueue_many(notes.note.request(name) for name in names)
        assert notes.order() == names

    def test_any_mixture(self, new_app: NewApp):
        chance = random.Random(SEED)
        print(f"seed {SEED}")
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        jobs = []
        for n in range(300):
            priority, seconds = chance.choice([-1, 0, 3, 20]), chance.randrange(5)
            due = TEN + timedelta(seconds=seconds)
            queue = chance.choice(["one", "two", "three"])
            job = notes.note.using(priority=priority, scheduled_at=due, queue=queue).enqueue(str(n))
            jobs.append((-priority, seconds, job.id, str(n)))
        clock.move(60)
        expected = [name for *_, name in sorted(jobs)]
        assert notes.order(queues=["one", "two", "three"]) == expected

    def test_priority_counts_across_queues(self, new_app: NewApp):
        notes = Notes(new_app())
        for n in range(20):
            queue = "mail" if n % 2 else "reports"
            notes.note.using(priority=n, queue=queue).enqueue(str(n))
        assert notes.order(queues=["reports", "mail"]) == [str(n) for n in reversed(range(20))]

    def test_other_queues_are_left_alone(self, new_app: NewApp):
        notes = Notes(new_app())
        other = notes.note.using(queue="other", priority=30).enqueue("other")
        notes.note.enqueue("own")
        assert notes.order() == ["own"]
        assert notes.app.jobs.get(other.id).state is State.READY


class TestTime:
    def test_not_before_it_is_due(self, new_app: NewApp, mode: str):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        job = notes.note.using(delay=60).enqueue("later")
        clock.move(59.999999)
        assert notes.order(mode) == []
        assert notes.app.jobs.get(job.id).state is State.SCHEDULED
        clock.move(0.000001)
        assert notes.order(mode) == ["later"]
        assert notes.app.jobs.get(job.id).started_at == TEN + timedelta(seconds=60)

    def test_soon_after_it_is_due(self, new_app: NewApp):
        app = new_app()
        notes = Notes(app)
        with working(app, poll=30):
            eventually(lambda: app.stats().workers, "a worker")
            job = notes.note.using(delay=0.3).enqueue("later")
            eventually(lambda: app.jobs.get(job.id).state is State.COMPLETED, "its end")
        done = app.jobs.get(job.id)
        late = (done.started_at - done.scheduled_at).total_seconds()  # type: ignore[operator]
        assert 0 <= late < 5  # the polling floor would take more than 20 seconds

    def test_a_snoozed_job_comes_back_when_it_is_due(self, new_app: NewApp):
        clock = Clock()
        app = new_app(clock=clock)
        runs = []

        @app.job
        def poll() -> Snooze | None:
            runs.append(clock.now)
            return Snooze(30) if len(runs) == 1 else None

        job = poll.enqueue()
        work(app)
        clock.move(29)
        work(app)
        assert len(runs) == 1
        clock.move(1)
        work(app)
        assert runs == [TEN, TEN + timedelta(seconds=30)]
        assert app.jobs.get(job.id).attempt == 1


class TestUnknownKinds:
    def test_hold_up_nothing_and_run_where_they_are_known(
        self, new_app: NewApp, database_url: str, mode: str, caplog: pytest.LogCaptureFixture
    ):
        newer, older = new_app(), new_app()
        ran = []

        @newer.job(priority=20)
        async def brand_new(n: int) -> None:
            ran.append(n)

        notes = Notes(older)
        new_ids = newer.enqueue_many(brand_new.request(n) for n in range(300))
        known = notes.note.enqueue("known")

        assert notes.order(mode) == ["known"]
        assert older.jobs.get(known.id).state is State.COMPLETED
        states = {newer.jobs.get(id_).state for id_ in new_ids[::30]}
        assert states == {State.BLOCKED}
        assert newer.jobs.get(new_ids[0]).reason == "kind:brand_new"
        reports = [r for r in caplog.records if getattr(r, "event", "") == "kind_unknown"]
        assert len(reports) == 1  # not once for each job
        assert reports[0].dibs_fields["kind"] == "brand_new"
        assert "brand_new" in reports[0].getMessage()

        work(newer, mode)
        assert sorted(ran) == list(range(300))
        job = newer.jobs.get(new_ids[0])
        assert (job.state, job.attempt, job.crashes) == (State.COMPLETED, 1, 0)
        assert misplaced(database_url) == []

    def test_a_worker_that_runs_already_takes_them_over(self, new_app: NewApp):
        newer, older = new_app(), new_app()
        ran = []

        @newer.job
        async def brand_new(n: int) -> None:
            ran.append(n)

        notes = Notes(older)
        newer.enqueue_many(brand_new.request(n) for n in range(40))
        notes.order()
        with working(newer, concurrency=2):
            eventually(lambda: len(ran) == 40, "all jobs of the new kind")

    def test_can_be_cancelled_while_they_wait(self, new_app: NewApp):
        newer, older = new_app(), new_app()
        job = newer.job(lambda: None, kind="brand_new").enqueue()
        Notes(older).order()
        assert newer.jobs.cancel(job.id).state is State.CANCELLED
