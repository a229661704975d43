"""The lab's judge finds nothing in histories that keep the rules; what logs and reports hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.history.check import check
from tests.support.history.events import What
from tests.support.history.log import Log, read
from tests.support.history.play import MOST_ATTEMPTS, Held, Play
from tests.support.history.report import summarize

SEATS = st.sampled_from(["A", "B", "C"])


class Machine(RuleBasedStateMachine):
    """Jobs move as the rules have it; workers die, are replaced, and come too late."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play()
        self.lost: list[Held] = []
        self.deaths = 0
        self.names: dict[str, str] = {}

    def name(self, seat: str) -> str:
        return self.names.setdefault(seat, f"{seat}{self.deaths}")

    @property
    def waiting(self) -> list[int]:
        return [id_ for id_, record in self.play.records.items() if record.places == ("ready",)]

    def held_by(self, seat: str) -> list[Held]:
        return [held for held in self.play.held.values() if held.worker == self.name(seat)]

    @rule(count=st.integers(1, 3))
    def enqueue(self, count: int) -> None:
        for _ in range(count):
            self.play.enqueue(f"tag {len(self.play.records)}")

    @rule()
    def roll_back(self) -> None:
        self.play.roll_back("undone")

    @precondition(lambda self: self.waiting)
    @rule(seat=SEATS, data=st.data())
    def claim(self, seat: str, data: st.DataObject) -> None:
        held = self.play.claim(data.draw(st.sampled_from(self.waiting)), self.name(seat))
        if data.draw(st.booleans()):
            self.play.begin(held)
        else:
            self.play.settle(held, "release")

    @precondition(lambda self: self.play.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(list(self.play.held.values())))
        failed = "dead" if held.attempt == MOST_ATTEMPTS else "retry"
        to = data.draw(st.sampled_from(["completed", "cancelled", "snooze", "release", failed]))
        self.play.settle(held, to)

    @rule(seat=SEATS, secret=st.booleans())
    def kill(self, seat: str, secret: bool) -> None:
        """What it did last it may have told nobody."""
        self.play.secret = secret
        for held in self.held_by(seat)[:1]:
            self.play.settle(held, "completed")
        for job in self.waiting[:1]:
            self.play.claim(job, self.name(seat))
        self.play.secret = False
        self.play.kill(self.name(seat))
        for held in self.held_by(seat):
            self.lost.append(held)
            self.play.rescue(held.job)
        self.deaths += 1
        del self.names[seat]

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def come_too_late(self, data: st.DataObject) -> None:
        self.play.settle(data.draw(st.sampled_from(self.lost)), "completed")

    @invariant()
    def nothing_is_found(self) -> None:
        assert [str(violation) for violation in check(self.play.history())] == []


TestMachine = Machine.TestCase


# --- Logs and figures --------------------------------------------------------------------------


def killing() -> Play:
    play = Play()
    for _ in range(3):
        play.enqueue()
    play.begin(play.claim(1, "dead"))
    play.kill("dead")
    play.rescue(1)
    for job in (1, 3):
        held = play.claim(job, "A")
        play.begin(held)
        play.settle(held, "completed")
    return play


def test_what_is_told_is_read_again(tmp_path: Path):
    events = killing().events
    Log(tmp_path).tell(events)
    assert sorted(read(tmp_path)) == sorted(events)


def test_a_report_counts_what_was_found():
    play = killing()
    report = summarize("plants", "none", play.history(), seed=7)
    assert (report.lost, report.repeated, report.again) == (0, 0, 1)
    assert (report.jobs, report.faults) == (len(play.records), 1)
    killed, rescued = (
        next(e for e in play.events if e.what is what) for what in (What.KILLED, What.RESCUED)
    )
    following = next(
        e for e in play.events if e.at > killed.at and (e.what, e.to) == (What.SETTLED, "completed")
    )
    assert rescued.at < following.at
    assert report.recovery == pytest.approx((following.at - killed.at) / 1e9)

    del play.records[2]  # lost
    play.tell(What.CLAIMED, 3, 1, 1, "B")  # and claimed twice
    report = summarize("plants", "none", play.history(), seed=7)
    assert (report.lost, report.repeated) == (1, 1)
    assert "| 1 | 1 |" in report.row()
