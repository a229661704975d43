"""Ticks: fired once, in time or late, beside the jobs of earlier ones, under any clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dibs import Missed, Overlap, State, Unique
from tests.conformance.conftest import OpenFace
from tests.conformance.notes import TEN, Clock
from tests.conformance.scheduling import DAY, HOUR, Agenda
from tests.conformance.spies import raw
from tests.conformance.working import logged

HALF = HOUR / 2


@pytest.fixture
def mode() -> str:
    """One face is enough: workers are the same on both."""
    return "sync"


@pytest.fixture
def agenda(new_face: OpenFace) -> Agenda:
    clock = Clock()
    face = new_face(clock=clock)
    face.migrate()
    return Agenda(face, clock)


class TestATick:
    def test_gets_a_job_of_its_own(self, agenda: Agenda, caplog: pytest.LogCaptureFixture):
        caplog.set_level("DEBUG", "dibs.service")
        agenda.desk.create("x", "report", {"word": "a"}, every=HOUR, priority=7, timeout=60)
        assert agenda.after(HOUR - 1) == []
        assert agenda.after(2) == ["a"]
        [job] = agenda.face.jobs.list()
        assert (job.kind, job.queue, job.priority) == ("report", "reports", 7)
        assert job.scheduled_at == TEN + timedelta(hours=1)
        [tick] = agenda.desk.ticks("x")
        assert (tick.at, tick.job_id, tick.fired_at - tick.at) == (
            job.scheduled_at, job.id, timedelta(seconds=1)
        )  # fmt: skip
        schedule = agenda.get("x")
        assert (schedule.last_at, schedule.next_at) == (tick.at, TEN + timedelta(hours=2))
        assert logged(caplog, "schedule_fired") == [
            {"schedule": "x", "kind": "report", "tick": tick.at.isoformat(), "job_id": job.id}
        ]

    def test_is_fired_once_by_any_number_of_workers(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        assert agenda.after(HOUR) == ["-"]
        assert agenda.after(0) == []
        assert len(agenda.ticks("x")) == 1

    def test_is_fired_by_a_worker_that_does_not_know_its_kind(
        self, agenda: Agenda, new_face: OpenFace
    ):
        agenda.desk.create("x", "report", every=HOUR)
        agenda.clock.move(HOUR)
        stranger = Agenda(new_face(clock=agenda.clock), agenda.clock)
        stranger.face.target.handlers.clear()
        stranger.face.handler(lambda: None, kind="other")
        stranger.start()
        assert agenda.face.jobs.list()[0].state is State.READY
        assert agenda.after(0) == ["-"]

    def test_is_put_off_by_jitter_the_same_for_everyone(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, jitter=HALF)
        assert agenda.after(HOUR) == []
        [job] = agenda.face.jobs.list()
        assert TEN + timedelta(hours=1) < job.scheduled_at < TEN + timedelta(hours=1.5)
        assert job.state is State.SCHEDULED
        assert agenda.after(HALF) == ["-"]

    def test_that_was_fired_cannot_be_fired_again(
        self, agenda: Agenda, tables_url: str, caplog: pytest.LogCaptureFixture
    ):
        agenda.desk.create("x", "report", every=HOUR)
        assert agenda.after(HOUR) == ["-"]
        raw(tables_url, "UPDATE dibs_schedules SET next_at = last_at")
        assert agenda.after(0) == []
        assert len(agenda.ticks("x")) == len(logged(caplog, "schedule_failed")) == 1

    def test_that_the_database_refuses_holds_up_no_other(
        self, agenda: Agenda, tables_url: str, caplog: pytest.LogCaptureFixture
    ):
        agenda.face.handler(lambda: None, kind="poison")
        agenda.desk.create("bad", "poison", every=HOUR)
        agenda.desk.create("good", "report", every=HOUR)
        raw(tables_url, "refuse_poison")
        assert agenda.after(HOUR) == ["-"]
        [failure] = logged(caplog, "schedule_failed")
        assert failure["schedule"] == "bad"
        assert (agenda.ticks("bad"), agenda.next("bad")) == ([], timedelta(hours=1))


class TestLateTicks:
    @pytest.mark.parametrize(
        ("missed", "jobs", "history"),
        [
            (Missed.SKIP, 1, [("5:00:00", "enqueued", 4)]),
            (Missed.ONCE, 1, [("5:00:00", "enqueued", 4)]),
            (
                Missed.all(2), 3,
                [(f"{hour}:00:00", "enqueued", hour == 3 and 2) for hour in (5, 4, 3)],
            ),
        ],
        ids=str,
    )  # fmt: skip
    def test_when_the_newest_is_in_time(
        self, agenda: Agenda, missed: Missed, jobs: int, history: list[Any],
        caplog: pytest.LogCaptureFixture,
    ):  # fmt: skip
        agenda.desk.create("x", "report", every=HOUR, missed=missed)
        assert agenda.after(5 * HOUR + 60) == ["-"] * jobs
        assert agenda.ticks("x") == history
        assert [event["ticks"] for event in logged(caplog, "schedule_missed")] == [5 - jobs]
        assert agenda.next("x") == timedelta(hours=6)

    @pytest.mark.parametrize(
        ("missed", "jobs", "history"),
        [
            (Missed.SKIP, 0, [("5:00:00", "missed", 4)]),
            (Missed.ONCE, 1, [("5:00:00", "enqueued", 4)]),
            (Missed.all(2), 2, [("5:00:00", "enqueued", 0), ("4:00:00", "enqueued", 3)]),
        ],
        ids=str,
    )
    def test_when_it_is_not(self, agenda: Agenda, missed: Missed, jobs: int, history: list[Any]):
        agenda.desk.create("x", "report", every=HOUR, missed=missed)
        assert agenda.after(5 * HOUR + 61) == ["-"] * jobs
        assert agenda.ticks("x") == history

    def test_come_in_order(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, missed=Missed.all(1000))
        agenda.clock.move(5 * HOUR)
        agenda.face.work(queues=["none"])
        jobs = agenda.face.jobs.list(state="ready")
        assert [job.scheduled_at - TEN for job in jobs] == [
            timedelta(hours=number) for number in range(1, 6)
        ]

    def test_of_many_years_cost_little(self, agenda: Agenda):
        agenda.desk.create("x", "report", cron="* * * * *", tz="Europe/Berlin")
        assert agenda.after(20 * 365 * DAY) == ["-"]
        assert agenda.ticks("x")[0][1:] == ("enqueued", 1000)


class TestOverlap:
    def test_is_allowed_by_default(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        self.fire(agenda, times=2)
        assert agenda.after(0) == ["-", "-"]

    def fire(self, agenda: Agenda, times: int) -> None:
        """Have ticks fired by a worker that runs none of their jobs."""
        for _ in range(times):
            agenda.clock.move(HOUR)
            agenda.face.work(queues=["none"])

    def test_is_skipped_while_the_job_waits(self, agenda: Agenda, caplog: pytest.LogCaptureFixture):
        caplog.set_level("INFO", "dibs.service")
        agenda.desk.create("x", "report", every=HOUR, overlap=Overlap.SKIP)
        self.fire(agenda, times=3)
        ticks = agenda.desk.ticks("x")
        assert [tick.outcome for tick in ticks] == ["overlap", "overlap", "enqueued"]
        assert {tick.job_id for tick in ticks} == {ticks[-1].job_id}
        assert [event["outcome"] for event in logged(caplog, "schedule_skipped")] == ["overlap"] * 2
        assert agenda.after(0) == ["-"]
        assert agenda.after(HOUR) == ["-"]
        assert agenda.ticks("x")[0] == ("4:00:00", "enqueued", 0)

    def test_is_skipped_also_while_a_job_that_was_run_by_hand_waits(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, overlap="skip")
        agenda.desk.run_now("x")
        self.fire(agenda, times=1)
        assert [outcome for _, outcome, _ in agenda.ticks("x")] == ["overlap", "enqueued"]

    def test_a_dead_letter_has_ended(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, overlap="skip", max_attempts=1)

        async def fail(word: str = "-") -> None:
            raise ValueError

        agenda.face.target.handlers["report"].function = fail
        agenda.after(HOUR)
        agenda.after(HOUR)
        assert [outcome for _, outcome, _ in agenda.ticks("x")] == ["enqueued", "enqueued"]

    def test_cancels_the_job_that_waits(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, overlap="cancel_previous")
        self.fire(agenda, times=3)
        jobs = agenda.face.jobs.list()
        assert [job.state for job in jobs] == ["ready", "cancelled", "cancelled"]
        assert jobs[1].reason == "the next tick of its schedule came"
        assert agenda.after(0) == ["-"]

    def test_of_late_ticks_leaves_the_newest_one(self, agenda: Agenda):
        agenda.desk.create(
            "x", "report", every=HOUR, overlap="cancel_previous", missed=Missed.all(9)
        )
        assert agenda.after(3 * HOUR) == ["-"]
        assert [outcome for _, outcome, _ in agenda.ticks("x")] == [
            "enqueued",
            "overlap",
            "overlap",
        ]


class TestUniqueKinds:
    def declare(self, agenda: Agenda, answer: str) -> None:
        unique = Unique(key="only one", on_conflict=answer)  # type: ignore[arg-type]
        agenda.face.handler(lambda: None, kind="unique", unique=unique)
        agenda.desk.create("x", "unique", every=HOUR)

    @pytest.mark.parametrize("answer", ["return", "skip", "replace"])
    def test_the_job_that_holds_the_key_stands_for_the_tick(self, agenda: Agenda, answer: str):
        self.declare(agenda, answer)
        holder = agenda.face.enqueue("unique")
        agenda.clock.move(HOUR)
        agenda.face.work(queues=["none"])
        [tick] = agenda.desk.ticks("x")
        assert (tick.outcome, tick.job_id) == ("duplicate", holder.id)
        assert agenda.face.rows() == (1, 1)

    def test_a_refusal_is_told_and_the_next_tick_comes(self, agenda: Agenda):
        self.declare(agenda, "raise")
        agenda.face.enqueue("unique")
        agenda.clock.move(HOUR)
        agenda.face.work(queues=["none"])
        [tick] = agenda.desk.ticks("x")
        assert (tick.outcome, tick.job_id) == ("refused", None)
        assert "is held by job 1 (ready)" in tick.reason
        assert agenda.next("x") == timedelta(hours=2)
        assert agenda.face.rows() == (1, 1)


class TestClocks:
    def test_that_go_on_while_a_worker_looks(
        self, agenda: Agenda, caplog: pytest.LogCaptureFixture
    ):
        for minute in range(1, 20):  # so that one comes due between any two looks
            agenda.desk.create(f"at {minute}", "report", cron=f"{minute} 10 4 5 *")
        agenda.clock.move(60)
        agenda.clock.pace = 60
        agenda.start()
        assert logged(caplog, "schedules_failed") == logged(caplog, "schedule_failed") == []
        assert agenda.ticks("at 1")

    def test_that_step_back_fire_nothing_twice(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, missed=Missed.all(100))
        assert agenda.after(3 * HOUR) == ["-"] * 3
        assert agenda.after(-2.5 * HOUR) == []
        assert agenda.after(2.5 * HOUR) == []
        assert agenda.after(HOUR) == ["-"]

    @pytest.mark.parametrize("verb", ["resume", "edit", "declare"])
    def test_that_step_back_fire_nothing_twice_whoever_meddles(self, agenda: Agenda, verb: str):
        agenda.declare(every=HOUR, missed=Missed.all(100))
        agenda.start()
        assert agenda.after(3 * HOUR) == ["-"] * 3
        agenda.clock.move(-2.5 * HOUR)
        if verb == "resume":
            agenda.desk.pause("report")
            agenda.desk.resume("report")
        elif verb == "edit":
            agenda.desk.update("report", every=HALF)
            agenda.desk.update("report", every=HOUR)
        else:
            agenda.face.target.schedules.declarations.clear()
            agenda.declare("0 * * * *", missed=Missed.all(100))
        assert agenda.after(0) == []
        assert agenda.next() == timedelta(hours=4)
        assert agenda.after(3.5 * HOUR) == ["-"]


def test_the_newest_thousand_ticks_are_kept(agenda: Agenda):
    agenda.desk.create("x", "report", every=1, missed=Missed.all(1000))
    agenda.clock.move(1000)
    agenda.face.work(queues=["none"])
    first = agenda.desk.ticks("x", limit=10_000)
    assert len(first) == 1000
    agenda.clock.move(10)
    agenda.face.work(queues=["none"])
    ticks = agenda.desk.ticks("x", limit=10_000)
    assert (len(ticks), ticks[-1].at - first[-1].at) == (1000, timedelta(seconds=10))


def test_a_schedule_whose_calendar_is_over_ticks_no_more(agenda: Agenda):
    agenda.clock.now = agenda.clock.now.replace(year=9999, month=12, day=31, hour=1)
    made = agenda.desk.create("x", "report", cron="0 2 31 12 *")
    assert made.next_at is not None
    assert agenda.after(HOUR) == ["-"]
    assert (agenda.get("x").next_at, agenda.after(HOUR)) == (None, [])
