"""Why a job is not running: every state and verdict, in words and as data."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dibs import (
    Aging,
    Backoff,
    Cancel,
    DibsError,
    Explanation,
    Job,
    JobNotFoundError,
    Snooze,
    State,
    Verdict,
)
from dibs.insights import to_json
from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.store.ops.claim import job_claim
from dibs.store.ops.workers import job_promote, worker_beat, worker_leave
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.spies import raw

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LEASE = 30_000_000


class Shop:
    """A queue at a time that a test moves, and workers that live by their heartbeats alone."""

    def __init__(self, new_face: OpenFace, url: str) -> None:
        self.now = NOON
        self.url = url
        self.face = new_face(clock=lambda: self.now)
        self.face.migrate()
        self.kinds = {kind: self.face.handler(_note, kind=kind) for kind in ("note", "other")}

    def add(
        self, priority: int = 0, *, waited: float = 0, queue: str = "mail", kind: str = "note"
    ) -> Job:
        """Enqueue a job that is due since so many seconds, or in as many where they are fewer."""
        due = self.now - timedelta(seconds=waited)
        using = self.kinds[kind].using(priority=priority, scheduled_at=due, queue=queue)
        job: Job = using.enqueue()
        return job

    def policy(self, policy: QueuePolicy, queue: str = "mail") -> None:
        self.face.queues.configure(queue, aging=policy.aging, weights=policy.weights)

    def worker(
        self,
        name: str = "w",
        queues: Iterable[str] = ("mail",),
        kinds: Iterable[str] = ("note",),
        *,
        lowest: int = PRIORITY_MIN,
        highest: int = PRIORITY_MAX,
        slots: int = 2,
        lease: int = LEASE,
    ) -> None:
        serving = Serving(tuple(queues), lowest=lowest, highest=highest)
        self.do(worker_beat(name, serving, list(kinds), slots, lease))

    def claim(self, count: int, worker: str = "w", kinds: Iterable[str] = ("note",)) -> None:
        self.do(job_claim(worker, Serving(("mail",)), list(kinds), Demand(count)))

    def do(self, operation: Any) -> Any:
        return self.face.target.store.run(operation)

    def explain(self, job: Job, **options: Any) -> Explanation:
        found: Explanation = self.face.jobs.explain(job.id, **options)
        assert json.loads(json.dumps(to_json(found)))["id"] == job.id
        assert str(found) == "\n".join(found.lines)
        assert found.lines[0].startswith(f"Job {job.id} ({job.kind}, queue {job.queue}) ")
        return found


def _note() -> None: ...


@pytest.fixture
def shop(new_face: OpenFace, tables_url: str) -> Shop:
    return Shop(new_face, tables_url)


class TestNobodyStartsIt:
    """Each verdict says what is missing, and what to do."""

    def test_no_workers(self, shop: Shop):
        job = shop.add(waited=725)
        found = shop.explain(job)
        assert (found.state, found.verdict, found.obstacle) == (
            "ready", Verdict.NO_WORKERS, Verdict.NO_WORKERS
        )  # fmt: skip
        assert found.lines == [
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
            in found.lines[1]
        )
        assert "Worker a serves its queue, but does not know its kind." in found.lines
        assert not any("Worker b" in line for line in found.lines)

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
        assert "none that could run it takes priority 0" in found.lines[1]
        assert f"dibs jobs reprioritize {job.id} --priority" in found.lines[1]
        assert f"Worker a serves its queue, but takes priorities {taken} only." in found.lines

    def test_aging_brings_nobody_into_a_range(self, shop: Shop):
        shop.policy(QueuePolicy(Aging(after=1, every=1)))
        shop.worker(lowest=10)
        found = shop.explain(shop.add(waited=60))
        assert (found.effective_priority, found.verdict) == (20, Verdict.PRIORITY_OUT_OF_RANGE)

    def test_many_workers_are_not_all_named(self, shop: Shop):
        for n in range(8):
            shop.worker(f"w{n}", kinds=["other"])
        lines = shop.explain(shop.add()).lines
        assert sum(line.startswith("Worker w") for line in lines) == 5
        assert lines[-1] == "So it is with 3 more workers."


class TestWhatIsScheduled:
    def test_starts_to_wait_when_it_is_due(self, shop: Shop):
        shop.worker()
        job = shop.add(waited=-180, priority=3)
        found = shop.explain(job)
        assert (found.state, found.verdict, found.obstacle) == ("scheduled", "not_due", None)
        assert (found.due_in, found.waited) == (timedelta(minutes=3), None)
        assert (found.priority, found.effective_priority) == (3, 3)
        assert (found.ahead, found.starts_in) == (None, None)
        assert found.lines[0].endswith("may start in 3 min, at 2026-05-04 12:03:00Z.")
        assert "1 of 1 live worker can run it, with 2 of 2 slots free: w" in found.lines[-1]

    def test_and_nobody_would_start_it(self, shop: Shop):
        found = shop.explain(shop.add(waited=-180))
        assert (found.verdict, found.obstacle) == (Verdict.NOT_DUE, Verdict.NO_WORKERS)
        assert found.lines[1].startswith("As things are, nobody would start it then. No worker is")

    def test_is_overdue_where_no_worker_makes_it_ready(self, shop: Shop):
        job = shop.add(waited=-60)
        shop.now += timedelta(minutes=5)
        found = shop.explain(job)
        assert (found.state, found.verdict) == (State.SCHEDULED, Verdict.NO_WORKERS)
        assert (found.due_in, found.waited) == (timedelta(minutes=-4), timedelta(minutes=4))
        assert "has been due for 4 min" in found.lines[0]
        assert found.lines[1].startswith("No worker is alive, so nobody makes it ready. Start one")

    def test_is_made_ready_where_one_lives(self, shop: Shop):
        job = shop.add(waited=-60)
        shop.now += timedelta(minutes=5)
        shop.worker()
        found = shop.explain(job)
        assert found.verdict is Verdict.MOVING
        assert found.lines[1] == "A live worker makes it ready within about a second."
        shop.do(job_promote())
        assert shop.explain(job).verdict is Verdict.ABOUT_TO_START

    def test_after_a_failure(self, face: Face):
        def fail() -> None:
            raise ValueError("no paper\nleft.")

        job = face.handler(fail, backoff=Backoff.exponential(base=600, jitter=0)).enqueue()
        run(face)
        found = face.jobs.explain(job.id)
        assert (found.state, found.attempt, found.error) == ("scheduled", 1, "no paper\nleft.")
        assert found.lines[1] == "It has failed 1 time of 5; the last error: no paper left."

    def test_after_a_snooze(self, face: Face):
        job = face.handler(lambda: Snooze(600), kind="wait").enqueue()
        run(face)
        found = face.jobs.explain(job.id)
        assert (found.state, found.verdict) == (State.SCHEDULED, Verdict.NOT_DUE)


class TestWhatIsBlocked:
    @pytest.fixture
    def job(self, shop: Shop) -> Job:
        job = shop.add(waited=60)
        shop.worker("w", kinds=["other"])
        shop.claim(1, kinds=["other"])
        return job

    def test_waits_for_who_knows_its_kind(self, shop: Shop, job: Job):
        found = shop.explain(job)
        assert (found.state, found.verdict, found.reason) == (
            State.BLOCKED, Verdict.KIND_UNKNOWN, "kind:note"
        )  # fmt: skip
        assert "is blocked (kind:note): a worker that took it from its line did" in found.lines[0]
        assert (found.ahead, found.waited) == (None, timedelta(minutes=1))

    def test_is_let_in_by_one_that_does(self, shop: Shop, job: Job):
        shop.worker("knows")
        found = shop.explain(job)
        assert found.verdict is Verdict.MOVING
        assert (
            found.lines[1] == "A live worker knows its kind and lets it in within about a second."
        )

    def test_ages(self, shop: Shop, job: Job):
        shop.policy(QueuePolicy(Aging(after=30, every=10)))
        assert shop.explain(job).effective_priority == 4


class TestWhatHasStarted:
    def test_runs(self, shop: Shop):
        job = shop.add()
        shop.worker()
        shop.claim(1)
        shop.now += timedelta(seconds=3)
        found = shop.explain(job)
        assert (found.state, found.verdict, found.worker) == ("running", Verdict.RUNNING, "w")
        assert (found.started_at, found.attempt, found.waited, found.pace) == (NOON, 1, None, None)
        assert found.lines == [
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
        shop.worker("another")
        assert "a live worker takes the job back within seconds" in str(shop.explain(job))

    def test_completed(self, face: Face):
        job = face.handler(lambda: 1, kind="one").enqueue()
        run(face)
        found = face.jobs.explain(job.id)
        assert (found.state, found.verdict) == (State.COMPLETED, Verdict.ENDED)
        assert found.finished_at == face.jobs.get(job.id).finished_at
        assert f"has ended: worker {found.worker} completed it less than a second" in str(found)

    def test_cancelled_by_its_handler(self, face: Face):
        job = face.handler(lambda: Cancel("sold out"), kind="sell").enqueue()
        run(face)
        found = face.jobs.explain(job.id)
        assert f"its handler, on worker {found.worker}, called it off" in str(found)
        assert str(found).endswith(": sold out.")

    def test_cancelled_before_it_started(self, shop: Shop):
        job = shop.add()
        shop.face.jobs.cancel(job.id)
        shop.now += timedelta(days=2, hours=3, minutes=4)
        found = shop.explain(job)
        assert (found.state, found.verdict) == (State.CANCELLED, Verdict.ENDED)
        assert found.lines[0].endswith(
            "was called off before it started, 2 d 3 h ago, at 2026-05-04 12:00:00Z."
        )

    def test_dead(self, face: Face):
        def fail() -> None:
            raise ValueError("no\x1b[31m paper " + "x" * 500)

        job = face.handler(fail, max_attempts=1).enqueue()
        run(face)
        found = face.jobs.explain(job.id)
        assert (found.state, found.verdict) == (State.DEAD, Verdict.ENDED)
        assert "because it failed 1 time of 1. Its last error: no" in str(found)
        assert str(found).endswith("x….")


class TestAhead:
    def test_under_strict_order(self, shop: Shop):
        jobs = [shop.add(p, waited=w) for p, w in [(0, 60), (0, 30), (10, 0), (20, 5), (-1, 90)]]
        shop.add(20, queue="elsewhere")
        found = [shop.explain(job) for job in jobs]
        assert [one.ahead for one in found] == [2, 3, 1, 0, 4]
        assert [one.ahead_in_line for one in found] == [0, 1, 0, 0, 0]
        assert not any(one.ahead_more for one in found)

    def test_is_what_goes_first_whatever_the_policy(self, shop: Shop):
        chance = random.Random(20_260_504)
        shop.policy(QueuePolicy(Aging(after=30, every=20, step=2, ceiling=9)), "aging")
        shop.policy(QueuePolicy(Aging(after=0, every=7), {5: 3, 0: 1}), "both")
        for queue in ("strict", "aging", "both"):
            for _ in range(30):
                shop.add(chance.randrange(-3, 12), waited=chance.randrange(200), queue=queue)
        ahead = {job.id: shop.explain(job).ahead for job in shop.face.jobs.list()}
        for queue in ("strict", "aging", "both"):
            found = shop.do(job_claim("w", Serving((queue,)), ["note"], Demand(100)))
            levels: dict[bool, list[int]] = {True: [], False: []}
            for job in found.jobs:
                levels[queue == "both" and job.priority >= 5].append(job.id)
            for ids in levels.values():
                assert [ahead[id_] for id_ in ids] == [*range(len(ids))]

    def test_by_aging_it_overtakes(self, shop: Shop):
        shop.policy(QueuePolicy(Aging(after=60, every=60, step=5, ceiling=20)))
        old, young = shop.add(0, waited=130), shop.add(9)
        found = shop.explain(old)
        assert (found.priority, found.effective_priority, found.ahead) == (0, 10, 0)
        assert "Its priority is 0; having waited so long, it counts as 10." in found.lines
        assert shop.explain(young).ahead == 1

    def test_under_weights_in_its_own_level(self, shop: Shop):
        shop.policy(QueuePolicy(weights={20: 6, 10: 3, 0: 1}))
        shop.worker(slots=0)
        for priority in (25, 25, 9, 0):
            shop.add(priority)
        job = shop.add(1)
        found = shop.explain(job)
        assert (found.ahead, found.share) == (1, pytest.approx(1 / 7))
        assert (
            "1 job of its level is ahead of it, with another priority. By its queue's weights 14% "
            "of the turns are its level's." in found.lines
        )

    def test_is_counted_up_to_a_bound(self, shop: Shop):
        shop.worker(slots=0)
        for priority in (5, 5, 5, 0, 0):
            shop.add(priority)
        job = shop.add(0)
        assert [shop.explain(job, most=n).ahead for n in (1, 4, 5, 6)] == [1, 4, 5, 5]
        found = shop.explain(job, most=4)
        assert (found.ahead_more, found.ahead_in_line) == (True, None)
        assert "More than 4 jobs of its queue are ahead of it." in found.lines
        exact = shop.explain(job, most=5)
        assert (exact.ahead_more, exact.ahead_in_line) == (False, 2)
        assert "5 jobs of its queue are ahead of it, 2 with the same priority." in exact.lines

    @pytest.mark.parametrize("most", [0, 1_000_001, True, "7", 2.0])
    def test_a_bad_bound_is_refused(self, shop: Shop, most: Any):
        with pytest.raises(DibsError, match=r"most=.*: expected a number from 1 to 1000000"):
            shop.face.jobs.explain(1, most=most)


class TestInLine:
    def test_is_about_to_start_where_a_slot_is_free(self, shop: Shop):
        shop.worker(slots=3)
        running, first, second, third = (shop.add(waited=10 - n) for n in range(4))
        shop.claim(1)
        assert shop.explain(running).state is State.RUNNING
        assert [shop.explain(job).verdict for job in (first, second, third)] == [
            "about_to_start", "about_to_start", "in_line"
        ]  # fmt: skip
        found = shop.explain(second)
        assert (found.starts_in, found.candidates[0].free) == (timedelta(0), 2)
        assert found.lines[1:3] == [
            "A slot is free for it: it is about to start.",
            "If it still waits, the free slots are reserved for more urgent jobs, or their worker "
            "hangs.",
        ]
        assert "with 2 of 3 slots free: w (heartbeat less than a second ago)." in found.lines[-1]

    def test_by_the_pace_of_its_queue(self, shop: Shop):
        shop.worker(queues=["mail", "web"])
        shop.add(9)
        shop.add(9)
        shop.claim(2)
        for priority in (10, 10, 10, 0):
            shop.add(priority)
        job = shop.add(0)
        minute = int(NOON.timestamp()) // 60
        for row in (
            (minute - 2, "w", "mail", "note", 10, "completed", 90),
            (minute - 2, "w", "mail", "note", 0, "failed", 20),
            (minute - 1, "v", "mail", "other", 0, "dead", 10),
            (minute - 1, "", "mail", "note", 0, "cancelled", 5_000),  # no worker did that
            (minute - 1, "w", "web", "note", 0, "completed", 5_000),
            (minute - 5, "w", "mail", "note", 0, "completed", 5_000),  # too long ago
        ):
            raw(shop.url, f"INSERT INTO dibs_counters VALUES {(*row, 0, 0)}")
        found = shop.explain(job)
        assert found.verdict is Verdict.IN_LINE
        assert (found.pace.queue, found.pace.line) == (1.0, 0.25)
        assert found.pace.window == timedelta(minutes=2)
        assert (found.ahead, found.starts_in) == (4, timedelta(seconds=5))
        assert found.lines[2:] == [
            "4 jobs of its queue are ahead of it, 1 with the same priority.",
            "Over the last 2 min attempts of its queue ended at 1 per second, those with its "
            "priority at 15 per minute.",
            "So it starts in about 5 s; more urgent jobs that come in until then go first.",
            "1 of 1 live worker can run it, with 0 of 2 slots free: w (heartbeat less than a "
            "second ago).",
            "Some of them serve queue web too, whose jobs are not counted here.",
        ]
        assert "in more than about 3 s" in str(shop.explain(job, most=2))

    def test_where_nothing_moves(self, shop: Shop):
        shop.worker(slots=1)
        shop.add()
        shop.claim(1)
        found = shop.explain(shop.add())
        assert (found.verdict, found.ahead, found.starts_in) == (Verdict.IN_LINE, 0, None)
        assert "No attempt of its queue ended in the last 4 min." in found.lines
        assert "So nobody can tell when it will start." in found.lines

    def test_counts_what_real_workers_did(self, face: Face):
        handler = face.handler(_note)
        for _ in range(20):
            handler.enqueue()
        run(face)
        found = face.jobs.explain(handler.enqueue().id)
        assert found.pace.queue == found.pace.line > 0
        assert found.pace.queue * found.pace.window.total_seconds() == pytest.approx(20)


def run(face: Face) -> None:
    worker = face.target.worker(poll=0.01)
    if face.runner is None:
        worker.run(until_idle=True)
    else:
        face.wait(worker.arun(until_idle=True))


def test_an_unknown_job(face: Face):
    for id_ in (1, -1, 2**70):
        with pytest.raises(JobNotFoundError):
            face.jobs.explain(id_)
