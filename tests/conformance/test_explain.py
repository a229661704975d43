"""Why a job is not running: every state and verdict, in words and as data."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibs import Aging, Backoff, Cancel, Job, JobNotFoundError, Retry, Snooze, State, Verdict
from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN
from dibs.model.queues import QueuePolicy
from dibs.store.ops.workers import job_promote, worker_leave
from tests.conformance.explaining import NOON, Shop
from tests.conformance.face import Face


class TestNobodyStartsIt:
    """Each verdict says what is missing, and what to do."""

    def test_no_workers(self, shop: Shop):
        job = shop.add(waited=725)
        found = shop.explain(job)
        assert (found.job.state, found.verdict, found.obstacle) == (
            "ready", Verdict.NO_WORKERS, Verdict.NO_WORKERS
        )  # fmt: skip
        assert found.sentences == [
            f"Job {job.id} (note, queue mail) is ready: it has been waiting for a worker for "
            "12 min 5 s, since 2026-05-04 11:47:55Z.",
            "No worker is alive, so nobody starts it. Start one: "
            "dibs --app module:attribute worker --queue mail",
            "Its priority is 0.",
        ]
        assert (found.at, found.waited, found.due_in) == (NOON, timedelta(seconds=725), None)
        assert (found.candidates, found.starts_in) == ([], None)

    def test_a_worker_whose_lease_has_run_out_is_none(self, shop: Shop):
        shop.worker()
        shop.now += timedelta(seconds=31)
        assert shop.explain(shop.add()).verdict is Verdict.NO_WORKERS

    def test_queue_unserved(self, shop: Shop):
        shop.worker(queues=["other"])
        found = shop.explain(shop.add())
        assert found.verdict is Verdict.QUEUE_UNSERVED
        assert "1 worker is alive, but none serves queue mail. Start one that does:" in str(found)
        assert [one.obstacle for one in found.candidates] == [Verdict.QUEUE_UNSERVED]

    def test_kind_unknown(self, shop: Shop):
        shop.worker("a", kinds=["other"])
        shop.worker("b", queues=["elsewhere"])
        found = shop.explain(shop.add())
        assert found.verdict is Verdict.KIND_UNKNOWN
        assert (
            "2 workers are alive, but none that serves queue mail knows the kind note."
            in found.sentences[1]
        )
        assert "Worker a serves its queue, but does not know its kind." in found.sentences
        assert not any("Worker b" in line for line in found.sentences)

    @pytest.mark.parametrize(
        ("lowest", "highest", "taken"),
        [(10, PRIORITY_MAX, "from 10 up"), (PRIORITY_MIN, -1, "up to -1"), (5, 9, "from 5 to 9")],
    )
    def test_priority_out_of_range(self, shop: Shop, lowest: int, highest: int, taken: str):
        shop.worker("a", lowest=lowest, highest=highest)
        shop.worker("b", kinds=["other"])
        job = shop.add()
        found = shop.explain(job)
        assert found.verdict is Verdict.PRIORITY_OUT_OF_RANGE
        assert "none that could run it takes priority 0" in found.sentences[1]
        assert f"dibs jobs reprioritize {job.id} --priority" in found.sentences[1]
        assert f"Worker a serves its queue, but takes priorities {taken} only." in found.sentences

    def test_aging_brings_nobody_into_a_range(self, shop: Shop):
        shop.policy(QueuePolicy(Aging(after=1, every=1)))
        shop.worker(lowest=10)
        found = shop.explain(shop.add(waited=60))
        assert (found.job.effective_priority, found.verdict) == (20, Verdict.PRIORITY_OUT_OF_RANGE)

    def test_many_workers_are_not_all_named(self, shop: Shop):
        for n in range(8):
            shop.worker(f"w{n}", kinds=["other"])
        sentences = shop.explain(shop.add()).sentences
        assert sum(one.startswith("Worker w") for one in sentences) == 5
        assert sentences[-1] == "So it is with 3 more workers."


class TestWhatIsScheduled:
    def test_starts_to_wait_when_it_is_due(self, shop: Shop):
        shop.worker()
        job = shop.add(waited=-180, priority=3)
        found = shop.explain(job)
        assert (found.job.state, found.verdict, found.obstacle) == ("scheduled", "not_due", None)
        assert (found.due_in, found.waited) == (timedelta(minutes=3), None)
        assert (found.job.priority, found.job.effective_priority) == (3, 3)
        assert (found.ahead, found.starts_in) == (None, None)
        assert found.sentences[0].endswith("may start in 3 min, at 2026-05-04 12:03:00Z.")
        assert "1 of 1 live worker can run it, with 2 of 2 slots free: w" in found.sentences[-1]

    def test_and_nobody_would_start_it(self, shop: Shop):
        found = shop.explain(shop.add(waited=-180))
        assert (found.verdict, found.obstacle) == (Verdict.NOT_DUE, Verdict.NO_WORKERS)
        assert found.sentences[1].startswith(
            "As things are, nobody would start it then. No worker is"
        )

    def test_is_overdue_where_no_worker_makes_it_ready(self, shop: Shop):
        job = shop.add(waited=-60)
        shop.now += timedelta(minutes=5)
        found = shop.explain(job)
        assert (found.job.state, found.verdict) == (State.SCHEDULED, Verdict.NO_WORKERS)
        assert (found.due_in, found.waited) == (timedelta(minutes=-4), timedelta(minutes=4))
        assert "has been due for 4 min" in found.sentences[0]
        assert found.sentences[1].startswith(
            "No worker is alive, so nobody makes it ready. Start one"
        )

    def test_is_made_ready_where_one_lives(self, shop: Shop):
        job = shop.add(waited=-60)
        shop.now += timedelta(minutes=5)
        shop.worker()
        found = shop.explain(job)
        assert found.verdict is Verdict.MOVING
        assert found.sentences[1] == "A live worker makes it ready within about a second."
        shop.do(job_promote())
        assert shop.explain(job).verdict is Verdict.ABOUT_TO_START

    def test_after_a_failure(self, face: Face):
        def fail() -> None:
            raise ValueError("no paper\nleft.")

        job = face.handler(
            fail, retry=Retry(backoff=Backoff.exponential(base=600, jitter=0))
        ).enqueue()
        face.work()
        found = face.jobs.explain(job.id)
        assert (found.job.state, found.job.attempt) == (State.SCHEDULED, 1)
        assert found.job.error == "no paper\nleft."
        assert found.sentences[1] == "It has failed 1 time of 5; the last error: no paper left."

    def test_after_a_snooze(self, face: Face):
        job = face.handler(lambda: Snooze(600), kind="wait").enqueue()
        face.work()
        found = face.jobs.explain(job.id)
        assert (found.job.state, found.verdict) == (State.SCHEDULED, Verdict.NOT_DUE)


class TestWhatIsBlocked:
    @pytest.fixture
    def job(self, shop: Shop) -> Job:
        job = shop.add(waited=60)
        shop.worker("w", kinds=["other"])
        shop.claim(1, kinds=["other"])
        return job

    def test_waits_for_who_knows_its_kind(self, shop: Shop, job: Job):
        found = shop.explain(job)
        assert (found.job.state, found.verdict, found.job.reason) == (
            State.BLOCKED, Verdict.KIND_UNKNOWN, "kind:note"
        )  # fmt: skip
        assert (
            "is blocked (kind:note): a worker that took it from its line did" in found.sentences[0]
        )
        assert (found.ahead, found.waited) == (None, timedelta(minutes=1))

    def test_is_let_in_by_one_that_does(self, shop: Shop, job: Job):
        shop.worker("knows")
        found = shop.explain(job)
        assert found.verdict is Verdict.MOVING
        assert (
            found.sentences[1]
            == "A live worker knows its kind and lets it in within about a second."
        )

    def test_ages(self, shop: Shop, job: Job):
        shop.policy(QueuePolicy(Aging(after=30, every=10)))
        assert shop.explain(job).job.effective_priority == 4


class TestWhatHasStarted:
    def test_runs(self, shop: Shop):
        job = shop.add()
        shop.worker()
        shop.claim(1)
        shop.now += timedelta(seconds=3)
        found = shop.explain(job)
        assert (found.job.state, found.verdict, found.job.worker) == (
            "running",
            Verdict.RUNNING,
            "w",
        )
        assert (found.job.started_at, found.job.attempt) == (NOON, 1)
        assert (found.waited, found.pace) == (None, None)
        assert found.sentences == [
            f"Job {job.id} (note, queue mail) is running: worker w started it 3 s ago, at "
            "2026-05-04 12:00:00Z, attempt 1 of 5."
        ]

    @pytest.mark.parametrize("left", ["its lease ran out", "its row is gone"])
    def test_runs_under_a_lost_worker(self, shop: Shop, left: str):
        job = shop.add()
        shop.worker()
        shop.claim(1)
        shop.now += timedelta(seconds=40)
        if left == "its row is gone":
            shop.do(worker_leave("w"))
        found = shop.explain(job)
        assert found.verdict is Verdict.WORKER_LOST
        assert "lease has run out" in str(found)
        assert "only a live worker takes the job back, and none is alive" in str(found)
        # The first beat after the silence gives the lost one a lease to return in.
        for _ in range(3):
            shop.worker("another")
            shop.now += timedelta(seconds=15)
        assert "a live worker takes the job back within seconds" in str(shop.explain(job))

    def test_completed(self, face: Face):
        job = face.handler(lambda: 1, kind="one").enqueue()
        face.work()
        found = face.jobs.explain(job.id)
        assert (found.job.state, found.verdict) == (State.COMPLETED, Verdict.ENDED)
        assert found.job.finished_at == face.jobs.get(job.id).finished_at
        assert f"has ended: worker {found.job.worker} completed it less than a second" in str(found)

    def test_cancelled_by_its_handler(self, face: Face):
        job = face.handler(lambda: Cancel("sold out"), kind="sell").enqueue()
        face.work()
        found = face.jobs.explain(job.id)
        assert f"its handler, on worker {found.job.worker}, called it off" in str(found)
        assert str(found).endswith(": sold out.")

    def test_cancelled_before_it_started(self, shop: Shop):
        job = shop.add()
        shop.face.jobs.cancel(job.id)
        shop.now += timedelta(days=2, hours=3, minutes=4)
        found = shop.explain(job)
        assert (found.job.state, found.verdict) == (State.CANCELLED, Verdict.ENDED)
        assert found.sentences[0].endswith(
            "was called off before it started, 2 d 3 h ago, at 2026-05-04 12:00:00Z."
        )

    def test_dead(self, face: Face):
        def fail() -> None:
            raise ValueError("no\x1b[31m paper " + "x" * 500)

        job = face.handler(fail, max_attempts=1).enqueue()
        face.work()
        found = face.jobs.explain(job.id)
        assert (found.job.state, found.verdict) == (State.DEAD, Verdict.ENDED)
        assert "because it failed 1 time of 1. Its last error: no" in str(found)
        assert str(found).endswith("x….")


def test_an_unknown_job(face: Face):
    for id_ in (1, -1, 2**70):
        with pytest.raises(JobNotFoundError):
            face.jobs.explain(id_)
