"""A worker warns of the lines of its queues that do not move, and of no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from dibs import Dibs, Priority
from tests.conformance.holding import Held
from tests.conformance.working import working
from tests.support.waiting import eventually

NewApp = Callable[..., Dibs]
AFTER = 0.1
"""Seconds until a line counts as stalled."""


class Stalling(Held):
    """An app whose jobs stay in their slots until they are let go, and the warnings it logs."""

    def __init__(self, app: Dibs, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__(app)
        self._caplog = caplog

    def warnings(self) -> list[logging.LogRecord]:
        records = list(self._caplog.records)
        return [record for record in records if getattr(record, "event", "") == "line_stalled"]

    def stalled(self, count: int = 1) -> list[dict[str, object]]:
        """Return the fields of the warnings, once there are so many."""
        found = [record.dibs_fields for record in self.warnings()]  # type: ignore[attr-defined]
        return found if len(found) >= count else []

    def lines(self) -> set[tuple[object, object]]:
        return {(found["queue"], found["priority"]) for found in self.stalled()}

    @contextmanager
    def busy(self, **options: object) -> Iterator[None]:
        """Have a worker with one slot, and a job in it."""
        self.wait("busy", Priority.CRITICAL)
        with working(self.app, concurrency=1, **options):
            try:
                eventually(lambda: self.started, "the slot to be busy")
                yield
            finally:
                self.let_all_go()


@pytest.fixture
def held(new_app: NewApp, caplog: pytest.LogCaptureFixture) -> Stalling:
    return Stalling(new_app(stalled_after=AFTER), caplog)


def test_it_warns_once_in_a_period(held: Stalling):
    with held.busy():
        held.wait("waits", Priority.HIGH)
        found = eventually(lambda: held.stalled(2), "two warnings")
    for fields in found:
        assert set(fields) == {"queue", "priority", "seconds", "oldest_age"}
        assert (fields["queue"], fields["priority"]) == ("default", 10)
        assert AFTER <= fields["seconds"] <= fields["oldest_age"] + 0.1  # both are rounded
    assert found[0]["oldest_age"] < found[1]["oldest_age"]
    records = held.warnings()
    for one, other in pairwise(records):
        assert other.created - one.created >= AFTER * 0.9  # by another clock than the worker's
    assert {record.levelname for record in records} == {"WARNING"}
    still, waited = (f"{found[0][name]} s" for name in ("seconds", "oldest_age"))
    assert records[0].message == (
        f"no job of priority 10 in queue 'default' has started for {still}; the first has waited "
        f"{waited}"
    )


def test_only_of_its_queues_but_whatever_its_range(held: Stalling):
    held.wait("another queue", Priority.HIGH, queue="other")
    with held.busy(queues=["default", "empty"], priorities=(0, 20)):
        lines = {("default", -1), ("default", 0), ("default", 21)}
        for queue, priority in lines:
            held.wait("waits", priority, queue)
        eventually(lambda: held.lines() >= lines, "a warning of each")
        assert held.lines() == lines


def test_of_every_queue_and_level_apart(held: Stalling):
    with held.busy(queues=["default", "other"]):
        lines = {("default", 0), ("default", 10), ("other", 0)}
        for queue, priority in lines:
            held.wait("waits", priority, queue)
        eventually(lambda: held.lines() >= lines, "a warning of each")
        assert held.lines() == lines


def test_of_a_line_below_a_flood_and_not_of_the_flood(
    new_app: NewApp, caplog: pytest.LogCaptureFixture
):
    held = Stalling(new_app(stalled_after=1), caplog)  # a busy machine may pause the flood for less
    urgent = held.hold.using(priority=Priority.CRITICAL)
    held.app.enqueue_many(urgent.request("urgent") for _ in range(10_000))
    held.wait("low", Priority.LOW)
    with held.busy():

        def flowing() -> list[dict[str, object]]:
            held.let_go()
            return held.stalled()

        eventually(flowing, "a warning of the low line")
        assert held.lines() == {("default", 0)}
        assert "low" not in held.started
        assert len(held.started) > 2
        held.app.queues.configure("default", weights={Priority.CRITICAL: 1, Priority.LOW: 1})

        def moving() -> bool:
            held.let_go()
            return "low" in held.started

        eventually(moving, "the low job, once its line has a share")


def test_not_of_scheduled_jobs_or_a_line_that_moved(held: Stalling):
    held.hold.using(delay=3600).enqueue("later")
    with held.busy():
        held.wait("first", Priority.HIGH)
        held.wait("low", Priority.LOW)
        eventually(lambda: ("default", 10) in held.lines(), "a warning")
        held.let_go()
        eventually(lambda: "first" in held.started, "the line to move")
        before = len(held.warnings())
        eventually(lambda: held.stalled(before + 2), "warnings of the other line")
    late = [record.dibs_fields for record in held.warnings()[before:]]  # type: ignore[attr-defined]
    assert {fields["priority"] for fields in late} == {0}
