"""The doctor on schedules: late ones, those that nobody can run, clocks that were ahead."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibs import Check, Level
from dibs.model.lines import Serving
from dibs.store.ops.workers import worker_beat
from tests.conformance.conftest import OpenFace
from tests.conformance.notes import Clock
from tests.conformance.scheduling import DAY, HOUR, Agenda
from tests.conformance.spies import raw


@pytest.fixture
def mode() -> str:
    """One face is enough: the async one asks the sync one in a thread."""
    return "sync"


@pytest.fixture
def agenda(new_face: OpenFace) -> Agenda:
    clock = Clock()
    face = new_face(clock=clock)
    face.migrate()
    return Agenda(face, clock)


def said(agenda: Agenda) -> list[tuple[Level, str]]:
    found = agenda.face.doctor().findings
    return [(one.level, one.message) for one in found if one.code is Check.SCHEDULES]


def test_all_is_well(agenda: Agenda):
    assert said(agenda) == [(Level.OK, "0 schedules in time")]
    agenda.desk.create("x", "report", every=HOUR)
    agenda.desk.create("paused", "report", every=HOUR)
    agenda.desk.pause("paused")
    agenda.clock.move(HOUR + 60)
    assert said(agenda) == [(Level.OK, "1 schedule in time")]


def test_one_is_late(agenda: Agenda):
    agenda.desk.create("x", "report", every=HOUR)
    agenda.clock.move(HOUR + 120)
    assert said(agenda) == [(Level.PROBLEM, "schedule 'x' should have ticked 2 min ago")]


def test_nobody_knows_its_kind(agenda: Agenda):
    agenda.desk.create("x", "report", every=HOUR)
    beat = worker_beat("w", Serving(("reports",)), ["other"], 1, {}, DAY * 1_000_000)
    agenda.face.target.store.run(beat)
    [(level, message)] = said(agenda)
    assert level is Level.WARNING
    assert "makes jobs of kind 'report', which no live worker knows" in message


def test_the_clock_was_ahead(agenda: Agenda):
    agenda.desk.create("x", "report", every=HOUR)
    agenda.after(DAY)
    agenda.clock.now -= timedelta(days=1)
    [(level, message)] = said(agenda)
    assert level is Level.WARNING
    assert "schedule 'x' last ticked 1 d from now" in message


def test_one_cannot_be_read(agenda: Agenda, tables_url: str):
    agenda.desk.create("x", "report", every=HOUR)
    raw(tables_url, "UPDATE dibs_schedules SET configured = 'x'")
    assert said(agenda) == [(Level.PROBLEM, "what is stored for schedule 'x' cannot be read")]
