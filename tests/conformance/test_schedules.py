"""`app.schedules`: schedules that are written, changed, paused and run while the system runs."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from dibs import (
    InvalidArgsError,
    InvalidScheduleError,
    Missed,
    Overlap,
    ScheduleExistsError,
    ScheduleNotFoundError,
    State,
    Timing,
    UnknownKindError,
)
from dibs.insights import schedule_fields, to_json
from tests.conformance.conftest import OpenFace
from tests.conformance.notes import TEN, Clock
from tests.conformance.scheduling import DAY, HOUR, Agenda
from tests.conformance.spies import raw


@pytest.fixture
def agenda(new_face: OpenFace) -> Agenda:
    clock = Clock()
    face = new_face(clock=clock)
    face.migrate()
    return Agenda(face, clock)


class TestCreating:
    def test_is_known_with_its_next_tick(self, agenda: Agenda):
        made = agenda.desk.create(
            "evening", "report", {"word": "a"}, cron="0 18 * * 1-5", tz="Europe/Berlin",
            missed=Missed.all(3), overlap="skip", jitter=30, queue="slow", priority=5,
            max_attempts=2, timeout=60,
        )  # fmt: skip
        assert made == agenda.get("evening")
        assert agenda.desk.list() == [made]
        spec = made.spec
        assert spec.timing == Timing("0 18 * * 1-5", tz="Europe/Berlin")
        assert (spec.kind, spec.args) == ("report", {"word": "a"})
        assert (spec.missed, spec.overlap) == (Missed.all(3), Overlap.SKIP)
        assert (spec.job.queue, spec.job.priority, spec.job.max_attempts) == ("slow", 5, 2)
        assert (spec.job.timeout, spec.jitter) == (60_000_000, timedelta(seconds=30))
        assert (made.configured, made.declared, made.source) == (spec, None, "created")
        assert made.next_at == TEN + timedelta(hours=6)
        assert made.created_at == made.updated_at == TEN
        assert (made.last_at, made.paused_at) == (None, None)

    def test_takes_from_the_handler_what_is_not_said(self, agenda: Agenda):
        job = agenda.desk.create("often", "report", every=HOUR).spec.job
        assert (job.queue, job.priority, job.max_attempts, job.args) == (
            "reports", 0, 5, '{}'
        )  # fmt: skip

    def test_a_name_is_taken_once(self, agenda: Agenda):
        made = agenda.desk.create("evening", "report", every=HOUR)
        with pytest.raises(ScheduleExistsError, match="'evening'"):
            agenda.desk.create("evening", "report", every=60)
        assert agenda.desk.list() == [made]


class TestUpdating:
    def test_changes_what_is_given(self, agenda: Agenda):
        agenda.desk.create("x", "report", {"word": "a"}, every=HOUR, overlap="skip", priority=5)
        agenda.clock.move(60)
        edited = agenda.desk.update("x", args={"word": "b"}, missed=Missed.SKIP, max_attempts=3)
        spec = edited.spec
        assert (spec.timing, spec.overlap, spec.missed) == (
            Timing(every=HOUR), Overlap.SKIP, Missed.SKIP
        )  # fmt: skip
        assert (spec.args, spec.job.priority, spec.job.max_attempts) == ({"word": "b"}, 5, 3)
        assert edited.updated_at == TEN + timedelta(minutes=1)
        assert edited == agenda.get("x")

    def test_of_the_timing_moves_the_next_tick(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        assert agenda.desk.update("x", cron="30 12 * * *").next_at == TEN + timedelta(hours=2.5)
        berlin = agenda.desk.update("x", tz="Europe/Berlin")
        assert berlin.spec.timing == Timing("30 12 * * *", tz="Europe/Berlin")
        assert berlin.next_at == TEN + timedelta(hours=0.5)
        assert agenda.desk.update("x", every=60).spec.timing == Timing(every=60)

    def test_of_anything_else_keeps_ticks_that_are_late(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, missed=Missed.all(10))
        agenda.clock.move(3 * HOUR)
        assert agenda.desk.update("x", args={"word": "b"}).next_at == TEN + timedelta(hours=1)
        assert agenda.after(0) == ["b", "b", "b"]

    def test_needs_the_handler_only_for_args_and_options(self, agenda: Agenda, new_face: OpenFace):
        agenda.desk.create("x", "report", every=HOUR)
        stranger = new_face(clock=agenda.clock)
        assert stranger.schedules.update("x", every=60).spec.timing == Timing(every=60)
        with pytest.raises(UnknownKindError):
            stranger.schedules.update("x", args={"word": "b"})
        with pytest.raises(UnknownKindError):
            stranger.schedules.update("x", priority=5)

    def test_what_cannot_be_changes_nothing(self, agenda: Agenda):
        made = agenda.desk.create("x", "report", every=HOUR)
        with pytest.raises(InvalidScheduleError, match="an interval has no time zone"):
            agenda.desk.update("x", tz="Europe/Berlin")
        with pytest.raises(InvalidArgsError, match="wrod"):
            agenda.desk.update("x", every=60, args={"wrod": "a"})
        assert agenda.get("x") == made


class TestPausing:
    def test_says_who_and_why_and_ticks_no_more(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        paused = agenda.desk.pause("x", "holidays", author="jo")
        assert (paused.paused_at, paused.paused_by, paused.pause_reason) == (TEN, "jo", "holidays")
        assert paused.next_at is None
        assert agenda.after(3 * HOUR) == []
        again = agenda.desk.pause("x")
        assert (again.paused_at, again.paused_by, again.pause_reason) == (TEN, None, None)

    def test_resumes_from_now_on(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR, missed=Missed.all(10))
        agenda.desk.pause("x")
        agenda.clock.move(2.5 * HOUR)
        resumed = agenda.desk.resume("x")
        assert (resumed.paused_at, resumed.next_at) == (None, TEN + timedelta(hours=3))
        assert agenda.desk.resume("x") == resumed
        assert agenda.after(HOUR) == ["-"]
        assert agenda.ticks("x") == [("3:00:00", "enqueued", 0)]

    def test_an_edit_does_not_end_it(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        agenda.desk.pause("x")
        assert agenda.desk.update("x", every=60).next_at is None


class TestRunningNow:
    def test_stores_a_job_and_leaves_the_next_tick(self, agenda: Agenda):
        made = agenda.desk.create("x", "report", {"word": "a"}, every=HOUR, overlap="skip")
        jobs = [agenda.desk.run_now("x") for _ in range(2)]
        assert [(job.kind, job.queue, job.state) for job in jobs] == [
            ("report", "reports", State.READY)
        ] * 2
        assert agenda.get("x") == made
        ticks = agenda.desk.ticks("x")
        assert [tick.job_id for tick in ticks] == [job.id for job in reversed(jobs)]
        assert all(tick.manual for tick in ticks)
        assert agenda.after(0) == ["a", "a"]

    def test_does_not_stand_for_a_tick_at_the_same_moment(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        agenda.clock.move(HOUR)
        agenda.desk.run_now("x")
        assert agenda.after(0) == ["-", "-"]
        assert [tick.manual for tick in agenda.desk.ticks("x")] == [True, False]

    def test_also_while_it_is_paused(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        agenda.desk.pause("x")
        agenda.desk.run_now("x")
        assert agenda.after(0) == ["-"]
        assert agenda.get("x").paused_at == TEN


class TestDeleting:
    def test_leaves_nothing_but_its_jobs(self, agenda: Agenda):
        agenda.desk.create("x", "report", every=HOUR)
        job = agenda.desk.run_now("x")
        assert agenda.desk.delete("x") is None
        assert agenda.desk.list() == []
        assert agenda.face.jobs.get(job.id).state is State.READY
        agenda.desk.create("x", "report", every=HOUR)
        assert agenda.desk.ticks("x") == []

    def test_what_is_not_there_cannot_be_found(self, agenda: Agenda):
        for verb in ("get", "update", "reset", "pause", "resume", "delete", "run_now", "ticks"):
            with pytest.raises(ScheduleNotFoundError, match="no schedule is named 'x'"):
                getattr(agenda.desk, verb)("x")
        with pytest.raises(ScheduleNotFoundError):
            agenda.desk.preview(name="x")


class TestPreviews:
    def test_of_a_schedule_are_in_its_zone(self, agenda: Agenda):
        agenda.desk.create("x", "report", cron="0 9 * * *", tz="America/New_York")
        first, second = agenda.desk.preview(2, name="x")
        assert first.isoformat() == "2026-05-04T09:00:00-04:00"
        assert second - first == timedelta(days=1)
        assert first.tzinfo == ZoneInfo("America/New_York")

    def test_of_what_is_not_stored(self, agenda: Agenda):
        found = agenda.desk.preview(3, cron="0 2,4 * * *", tz="Europe/Berlin")
        assert [moment.hour for moment in found] == [2, 4, 2]
        assert [moment.minute for moment in agenda.desk.preview(2, every=300)] == [5, 10]
        assert len(agenda.desk.preview(every=60)) == 10


class TestRecords:
    def test_can_be_copied_sent_and_shown(self, agenda: Agenda):
        made = agenda.desk.create("x", "report", {"word": "a"}, cron="@daily", timeout=5)
        for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert again == made
        assert dataclasses.asdict(made)["spec"]["timing"]["cron"] == "@daily"
        shown = json.loads(json.dumps(to_json(schedule_fields(made))))
        assert (shown["args"], shown["cron"], shown["every"]) == ({"word": "a"}, "@daily", None)
        assert (shown["timeout"], shown["missed"], shown["source"]) == (5, "once", "created")

    def test_one_that_cannot_be_read_hides_no_other(self, agenda: Agenda, tables_url: str):
        agenda.desk.create("bad", "report", every=HOUR)
        good = agenda.desk.create("good", "report", every=HOUR)
        raw(tables_url, "UPDATE dibs_schedules SET configured = 'x' WHERE name = 'bad'")
        bad, same = agenda.desk.list()
        assert (bad.spec, bad.source, same) == (None, "created", good)
        assert schedule_fields(bad)["kind"] is None
        for verb, said in (("update", {"every": 5}), ("run_now", {}), ("preview", {"n": 1})):
            with pytest.raises(InvalidScheduleError, match="delete it and create it anew"):
                getattr(agenda.desk, verb)(**said, name="bad")
        assert agenda.after(DAY) == ["-"]
        assert agenda.desk.pause("bad").next_at is None
        assert agenda.desk.resume("bad").next_at is None
        agenda.desk.delete("bad")
