"""What queues and workers may say differently from strict order: aging, weights, ranges, slots."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from dibs import Aging, Dibs, Priority, State, Verdict
from dibs.model.lines import Serving
from dibs.model.prefetch import MOST
from dibs.store.ops.front import line_fronts
from dibs.worker.fetch import BATCH
from tests.conformance.holding import Held
from tests.conformance.notes import Clock, Notes
from tests.conformance.working import work, working
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]


@contextmanager
def versions(url: str) -> Iterator[Callable[[], object]]:
    """Yield what tells whether any row was written, by the database's own word."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            yield lambda: file.execute("PRAGMA data_version").fetchall()
    else:
        every_row = "UNION ALL ".join(
            f"SELECT '{name}', ctid::text, xmin::text, xmax::text FROM dibs_{name} "
            for name in ("jobs", "ready", "scheduled", "blocked", "running", "queues")
        )
        with psycopg.connect(url, autocommit=True) as connection:
            yield lambda: sorted(connection.execute(every_row).fetchall())  # type: ignore[call-overload]


@pytest.fixture
def held(new_app: NewApp) -> Iterator[Held]:
    held = Held(new_app())
    yield held
    held.let_all_go()


class TestAging:
    def test_who_waited_long_enough_passes(self, new_app: NewApp, mode: str):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=10, every=10, step=10))
        notes.wait("low", Priority.LOW)
        notes.wait("normal", Priority.NORMAL)
        clock.move(20)  # low counts 20, the ceiling, and so does normal
        notes.wait("critical", Priority.CRITICAL)
        notes.wait("more", 21)
        assert notes.order(mode) == ["more", "low", "normal", "critical"]

    def test_before_that_nobody_passes(self, new_app: NewApp):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=10, every=10, step=10))
        notes.wait("low", Priority.LOW)
        clock.move(19.999999)  # low counts 10
        notes.wait("high", 11)
        assert notes.order() == ["high", "low"]

    def test_other_queues_do_not_age(self, new_app: NewApp):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("ages", aging=Aging(after=0, every=1, step=1))
        notes.wait("strict", 9, queue="strict")
        notes.wait("ages", 0, queue="ages")
        clock.move(9)
        assert notes.order(queues=["ages", "strict"]) == ["ages", "strict"]

    def test_the_record_tells_what_counts(self, new_app: NewApp):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=10, every=1))
        job = notes.wait("low", Priority.LOW)
        seen = []
        for seconds in (0, 9, 1, 1, 100):
            clock.move(seconds)
            found = notes.app.jobs.get(job.id)
            assert found.priority == Priority.LOW
            seen.append(found.effective_priority)
        assert seen == [0, 0, 1, 2, 20]
        notes.order()
        assert notes.app.jobs.get(job.id).effective_priority == Priority.LOW

    def test_a_list_shows_the_order_to_come(self, new_app: NewApp):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=10, every=1, step=10))
        for name, priority in (("a", 0), ("b", 10), ("c", 0)):
            notes.wait(name, priority)
        clock.move(30)
        for name, priority in (("d", 20), ("e", 10), ("f", 30)):
            notes.wait(name, priority)
        listed = [job.args["name"] for job in notes.app.jobs.list(state="ready")]
        few = [job.args["name"] for job in notes.app.jobs.list(state="ready", kind="note", limit=2)]
        assert notes.order() == listed == ["f", "a", "b", "c", "d", "e"]
        assert few == listed[:2]

    def test_writes_nothing(self, new_app: NewApp, database_url: str):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=10, every=1))
        for n in range(20):
            notes.wait(str(n), n)
        with versions(database_url) as version:
            before = version()
            seen = set()
            for _ in range(60):
                clock.move(1)
                seen.update(job.effective_priority for job in notes.app.jobs.list(state="ready"))
                front = notes.app.store.run(line_fronts(Serving(("default",))))
                assert len(front.lines) == 20
            assert seen == set(range(21))
            assert version() == before


class TestWeights:
    def test_lines_take_turns_in_proportion(self, new_app: NewApp, mode: str):
        notes = Notes(new_app())
        notes.app.queues.configure("default", weights={20: 3, 10: 2, 0: 1})
        for priority in (0, 10, 20):
            name = str(priority)
            own = notes.note.using(priority=priority)
            notes.app.enqueue_many(own.request(name) for _ in range(120))
        order = notes.order(mode)
        assert Counter(order[:60]) == {"20": 30, "10": 20, "0": 10}
        assert Counter(order[60:180]) == {"20": 60, "10": 40, "0": 20}
        assert Counter(order) == dict.fromkeys(("0", "10", "20"), 120)

    def test_queues_take_turns_in_proportion(self, new_app: NewApp):
        notes = Notes(new_app())
        for queue, priority in (("mail", 0), ("reports", 20)):
            own = notes.note.using(queue=queue, priority=priority)
            notes.app.enqueue_many(own.request(queue) for _ in range(100))
        order = notes.order(queues={"mail": 3, "reports": 1})
        assert Counter(order[:100]) == {"mail": 75, "reports": 25}

    def test_no_turn_is_wasted(self, new_app: NewApp):
        notes = Notes(new_app())
        notes.app.queues.configure("default", weights={20: 1000, 0: 1})
        notes.app.enqueue_many(notes.note.request(str(n)) for n in range(50))
        assert notes.order() == [str(n) for n in range(50)]


class TestDedicatedWorkers:
    def test_take_their_range_and_leave_the_rest(self, new_app: NewApp, mode: str):
        notes = Notes(new_app())
        for priority in (-32768, 0, 9, 10, 20, 32767):
            notes.wait(str(priority), priority)
        assert notes.order(mode, priorities=(10, None)) == ["32767", "20", "10"]
        assert notes.order(mode, priorities=(0, 9))[3:] == ["9", "0"]
        assert notes.order(mode, priorities=(None, -1))[5:] == ["-32768"]

    def test_age_does_not_change_whose_job_it_is(self, new_app: NewApp):
        clock = Clock()
        notes = Notes(new_app(clock=clock))
        notes.app.queues.configure("default", aging=Aging(after=0, every=1, step=20))
        low = notes.wait("low", 0)
        clock.move(60)
        assert notes.order(priorities=(10, None)) == []
        assert notes.app.jobs.get(low.id).effective_priority == 20
        assert notes.order(priorities=(None, 9)) == ["low"]

    def test_leave_unknown_kinds_of_other_ranges_alone(self, new_app: NewApp):
        newer, older = new_app(), new_app()
        alien = newer.job(lambda: None, kind="alien").enqueue()
        Notes(older).order()
        assert newer.jobs.get(alien.id).state is State.BLOCKED
        work(newer, priorities=(1, None))
        assert newer.jobs.get(alien.id).state is State.BLOCKED
        work(newer)
        assert newer.jobs.get(alien.id).state is State.COMPLETED

    def test_are_told_of_jobs_in_their_range(self, new_app: NewApp):
        app = new_app()
        notes = Notes(app)
        notes.wait("low", 0)
        with working(app, priorities=(10, None), poll=30) as worker:
            worker.started.wait()
            notes.wait("high", 10)
            eventually(lambda: notes.ran, "the urgent job")
        assert notes.ran == ["high"]

    def test_are_listed_with_their_range(self, new_app: NewApp):
        app = new_app()
        Notes(app)
        with working(app, priorities=(10, 20)) as worker:
            worker.started.wait()
            [record] = app.stats().workers
        assert (record.lowest, record.highest) == (10, 20)


class TestReservedSlots:
    def test_wait_for_the_urgent_alone(self, held: Held):
        held.wait("low 0", 0)
        with working(held.app, concurrency=4, reserve={10: 1, 20: 1}):
            eventually(lambda: held.started, "the first, whose thread begins before the others'")
            for n in range(1, 5):
                held.wait(f"low {n}", 0)
            eventually(lambda: len(held.started) == 2, "the slots for all to fill")
            held.wait("normal", 9)
            held.wait("high", 10)
            eventually(lambda: "high" in held.started, "the reserved slot to be used")
            held.wait("high too", 10)
            held.wait("critical", 20)
            eventually(lambda: "critical" in held.started, "the other reserved slot to be used")
            assert held.started == ["low 0", "low 1", "high", "critical"]
            held.let_all_go()
            eventually(lambda: len(held.started) == 9, "all of them")

    def test_do_not_keep_jobs_in_the_worker(self, held: Held):
        for n in range(5):
            held.wait(f"low {n}", 0)
        with working(held.app, concurrency=3, reserve={10: 2}):
            eventually(lambda: len(held.started) == 1, "the slot for all to fill")
            with working(held.app, concurrency=4):
                eventually(lambda: len(held.started) == 5, "another worker to take the rest")
                held.let_all_go()

    def test_are_told_to_who_asks_why_a_job_waits(self, held: Held):
        explain = held.app.jobs.explain
        for n in range(3):
            held.wait(f"low {n}", 0)
        with working(held.app, concurrency=4, reserve={10: 2}):
            eventually(lambda: len(held.started) == 2, "the slots for all to fill")
            [waiting] = held.app.jobs.list(state="ready")
            found = explain(waiting.id)
            [worker] = found.candidates
            assert (found.verdict, worker.free, worker.kept) == (Verdict.IN_LINE, 0, 2)
            assert worker.worker.reserve == {10: 2}
            held.let_all_go()


class TestUrgency:
    def test_with_all_slots_busy_it_is_the_next_to_start(self, held: Held):
        held.app.enqueue_many(held.hold.request("low") for _ in range(20_000))
        with working(held.app, concurrency=2), working(held.app, concurrency=2):
            eventually(lambda: len(held.started) == 4, "all slots to fill")
            held.wait("critical", Priority.CRITICAL)
            held.let_go()
            eventually(lambda: len(held.started) == 5, "the next job")
            assert held.started[4] == "critical"
            held.let_all_go()

    def test_what_is_held_ahead_is_bounded(self, new_app: NewApp):
        notes = Notes(new_app())
        app, concurrency = notes.app, 5
        app.enqueue_many(notes.note.request("low") for _ in range(20_000))
        with working(app, concurrency=concurrency):
            eventually(lambda: len(notes.ran) > 1000, "the worker to be at full speed")
            notes.wait("critical", Priority.CRITICAL)
            before = len(notes.ran)
            eventually(lambda: "critical" in notes.ran, "the urgent job")
        # What it held when the urgent job came in, and one claim that was under way.
        assert notes.ran.index("critical") - before <= MOST + BATCH + concurrency
