"""What the doctor says of pauses that were forgotten, and of jobs that nobody can run for them."""

from __future__ import annotations

from typing import Any

import pytest

from dibs import Check, Finding, Level
from dibs.model.lines import Serving
from dibs.store.ops.workers import worker_beat
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face
from tests.conformance.notes import Clock

HOUR = 3600


class Clinic:
    """An app with a kind `note` in queue `mail`, at a time that a test moves."""

    def __init__(self, face: Face, clock: Clock) -> None:
        self.face, self.clock = face, clock
        self.note = face.handler(lambda: None, kind="note", queue="mail")

    def said(self, code: Check) -> list[Finding]:
        return [finding for finding in self.face.doctor().findings if finding.code is code]

    def live(self, *queues: str) -> None:
        """Have a worker of `queues` live for a day."""
        operation = worker_beat("w", Serving(queues), ["note"], 1, {}, 24 * HOUR * 1_000_000)
        self.face.target.store.run(operation)


@pytest.fixture
def clinic(new_face: OpenFace) -> Clinic:
    clock = Clock()
    face = new_face(clock=clock)
    face.migrate()
    return Clinic(face, clock)


def test_nothing_is_paused(clinic: Clinic):
    [finding] = clinic.said(Check.PAUSES)
    assert (finding.level, finding.message) == (Level.OK, "no queue and no kind is paused")


@pytest.mark.parametrize(
    ("what", "name", "whose"),
    [("queues", "mail", "queue 'mail'"), ("kinds", "note", "kind 'note'")],
)
def test_for_long_while_jobs_wait(clinic: Clinic, what: str, name: str, whose: str):
    place: Any = getattr(clinic.face, what)
    place.pause(name, reason="the relay is down", author="ann")
    clinic.note.enqueue()
    clinic.note.using(queue="mail").enqueue()
    clinic.note.using(delay=24 * HOUR, priority=1).enqueue()
    clinic.clock.move(HOUR - 1)
    assert [finding.level for finding in clinic.said(Check.PAUSES)] == [Level.OK]
    clinic.clock.move(1)
    [finding] = clinic.said(Check.PAUSES)
    assert finding.level is Level.WARNING
    assert finding.message == (
        f"{whose} has been paused for 1 h, since 2026-05-04 10:00:00Z, by ann: the relay is down; "
        "2 jobs that could start wait for its end"
    )
    assert finding.advice == f"if it was forgotten: dibs {what} resume {name}"
    place.resume(name)
    assert [finding.level for finding in clinic.said(Check.PAUSES)] == [Level.OK]


def test_for_long_and_nothing_waits(clinic: Clinic):
    clinic.note.using(queue="other").enqueue()
    clinic.face.queues.pause("mail")
    clinic.clock.move(HOUR)
    [finding] = clinic.said(Check.PAUSES)
    assert (finding.level, finding.message) == (
        Level.OK, "1 pause, none of an hour for which jobs wait"
    )  # fmt: skip


def test_what_is_paused_lacks_no_worker(clinic: Clinic):
    clinic.note.enqueue()
    clinic.live("other")
    assert [one.level for one in clinic.said(Check.QUEUES)] == [Level.PROBLEM]
    clinic.face.queues.pause("mail")
    assert [one.level for one in clinic.said(Check.QUEUES)] == [Level.OK]
    clinic.face.queues.resume("mail")
    clinic.face.kinds.pause("note")
    assert [one.level for one in clinic.said(Check.QUEUES)] == [Level.OK]
    clinic.note.using(queue="reports").enqueue()
    clinic.face.kinds.resume("note")
    assert [one.level for one in clinic.said(Check.QUEUES)] == [Level.PROBLEM] * 2


def test_without_workers_what_is_paused_could_not_run(clinic: Clinic):
    clinic.note.enqueue()
    assert [one.level for one in clinic.said(Check.WORKERS)] == [Level.PROBLEM]
    clinic.face.queues.pause("mail")
    [finding] = clinic.said(Check.WORKERS)
    assert (finding.level, "0 jobs could run" in finding.message) == (Level.WARNING, True)
