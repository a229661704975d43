"""Schedules that code declares: stored when a worker starts, beside what people say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibs import Timing
from tests.conformance.conftest import OpenFace
from tests.conformance.notes import TEN, Clock
from tests.conformance.scheduling import HOUR, Agenda
from tests.conformance.working import logged


@pytest.fixture
def mode() -> str:
    """One face is enough: workers are the same on both."""
    return "sync"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agenda(new_face: OpenFace, clock: Clock) -> Agenda:
    face = new_face(clock=clock)
    face.migrate()
    return Agenda(face, clock)


@pytest.fixture
def later(new_face: OpenFace, clock: Clock) -> Agenda:
    """The same app with other code: a deployment later."""
    return Agenda(new_face(clock=clock), clock)


class TestAStart:
    def test_stores_what_is_declared(self, agenda: Agenda, caplog: pytest.LogCaptureFixture):
        caplog.set_level("INFO", "dibs.worker")
        agenda.declare("0 12 * * *", tz="Europe/Berlin")
        agenda.declare(every=HOUR, name="often", args={"word": "b"})
        assert agenda.desk.list() == []
        agenda.start()
        often, report = agenda.desk.list()
        assert (report.name, report.source, report.configured) == ("report", "code", None)
        assert report.spec == report.declared == agenda.desk.declared["report"]
        assert (report.next_at, often.next_at) == (
            TEN + timedelta(days=1), TEN + timedelta(hours=1)
        )  # fmt: skip
        assert logged(caplog, "schedules_declared") == [
            {"added": ["often", "report"], "changed": [], "removed": []}
        ]

    def test_writes_nothing_where_nothing_changed(
        self, agenda: Agenda, later: Agenda, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level("INFO", "dibs.worker")
        agenda.declare(every=HOUR)
        agenda.start()
        before = agenda.get()
        later.declare(every=timedelta(hours=1))
        agenda.clock.move(60)
        later.start()
        assert agenda.get() == before
        assert len(logged(caplog, "schedules_declared")) == 1

    def test_changes_what_is_declared_otherwise(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.clock.move(60)
        later.declare("30 10 * * *", args={"word": "b"})
        later.start()
        changed = agenda.get()
        assert changed.spec.timing == Timing("30 10 * * *")
        assert (changed.next_at, changed.updated_at) == (
            TEN + timedelta(minutes=30), TEN + timedelta(minutes=1)
        )  # fmt: skip
        assert later.after(HOUR) == ["b"]

    def test_makes_up_for_late_ticks_with_the_new_args(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR, args={"word": "old"})
        agenda.start()
        later.declare(every=HOUR, args={"word": "new"})
        assert later.after(HOUR + 300) == ["new"]

    def test_removes_what_is_declared_no_longer(
        self, agenda: Agenda, later: Agenda, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level("INFO", "dibs.worker")
        agenda.declare(every=HOUR)
        agenda.declare(every=60, name="often")
        agenda.start()
        later.declare(every=HOUR)
        later.start()
        assert [schedule.name for schedule in agenda.desk.list()] == ["report"]
        assert logged(caplog, "schedules_declared")[-1]["removed"] == ["often"]

    def test_speaks_for_its_own_kinds_alone(self, agenda: Agenda, new_face: OpenFace):
        agenda.declare(every=HOUR)
        agenda.desk.create("mine", "report", every=HOUR)
        agenda.start()
        other = new_face(clock=agenda.clock)
        other.handler(lambda: None, kind="other")
        other.work()
        assert [schedule.name for schedule in agenda.desk.list()] == ["mine", "report"]


class TestAPersonsWord:
    def test_wins_until_it_is_reset(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.desk.update("report", every=60)
        later.declare(every=2 * HOUR)
        later.start()
        edited = agenda.get()
        assert (edited.source, edited.spec.timing) == ("edited", Timing(every=60))
        assert edited.declared.timing == Timing(every=2 * HOUR)
        again = agenda.desk.reset("report")
        assert (again.source, again.spec, again.configured) == ("code", again.declared, None)
        assert again.next_at == TEN + timedelta(hours=2)
        assert agenda.desk.reset("report") == again

    def test_a_reset_leaves_alone_what_no_code_declares(self, agenda: Agenda):
        made = agenda.desk.create("x", "report", every=HOUR)
        assert agenda.desk.reset("x") == made

    def test_outlives_the_declaration(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.desk.update("report", every=60)
        later.start()
        assert (agenda.get().source, agenda.get().declared) == ("created", None)
        later.start()
        assert agenda.get().spec.timing == Timing(every=60)

    def test_a_pause_outlives_starts(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.desk.pause("report", "holidays")
        agenda.start()
        later.start()  # without it, as a deployment that is rolled back
        paused = agenda.get()
        assert (paused.source, paused.pause_reason, paused.next_at) == ("code", "holidays", None)
        later.declare(every=60)
        later.start()
        assert (agenda.get().spec.timing, agenda.next()) == (Timing(every=60), None)
        assert agenda.desk.resume("report").next_at == TEN + timedelta(minutes=1)

    def test_once_it_is_resumed_the_next_start_removes_it(self, agenda: Agenda, later: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.desk.pause("report")
        later.start()
        agenda.desk.resume("report")
        later.start()
        assert agenda.desk.list() == []

    def test_what_is_deleted_comes_back_while_it_is_declared(self, agenda: Agenda):
        agenda.declare(every=HOUR)
        agenda.start()
        agenda.desk.delete("report")
        agenda.start()
        assert agenda.next() == timedelta(hours=1)

    def test_what_somebody_wrote_under_the_name_stays(self, agenda: Agenda):
        agenda.desk.create("report", "report", every=60)
        agenda.declare(every=HOUR)
        agenda.start()
        both = agenda.get()
        assert (both.source, both.spec.timing) == ("edited", Timing(every=60))
        assert agenda.next() == timedelta(minutes=1)
