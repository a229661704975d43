"""Who is taken for dead: whom others were heard without, not whom nobody could be heard without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dibs.model.job import NewJob
from dibs.model.lines import Demand, Serving
from dibs.model.times import SECOND
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.workers import job_rescue, worker_beat

NOON = 1_767_268_800 * SECOND
SERVING = Serving(("default",))
BEAT, LEASE, DAY = 5, 30, 86_400
"""Seconds."""


class Fleet:
    """Workers that beat and run a job each, by a clock that the test moves."""

    def __init__(self, url: str) -> None:
        self.now = NOON
        self.store: Store = open_store(url, Role.WORKER, clock=lambda: self.now)

    def beat(self, *names: str, lease: int = LEASE) -> None:
        for name in names:
            beat = worker_beat(name, SERVING, ["mail"], 1, {}, lease * SECOND)
            self.store.run(beat)

    def run_jobs(self, *names: str) -> None:
        """Have each worker beat, and take a job."""
        self.beat(*names)
        for name in names:
            self.claim(name)

    def claim(self, name: str) -> None:
        self.store.run(job_enqueue([NewJob("mail", "{}")]))
        assert self.store.run(job_claim(name, SERVING, ["mail"], Demand(1))).jobs

    def outage(self, seconds: float) -> None:
        """Let time pass in which nobody is heard of."""
        self.now += round(seconds * SECOND)

    def live(self, seconds: int, *names: str) -> None:
        """Let time pass in which these workers beat as they are to, and others do not."""
        for _ in range(seconds // BEAT):
            self.now += BEAT * SECOND
            self.beat(*names)

    def rescued(self) -> list[str]:
        """Rescue, and return whose jobs were taken."""
        ends = self.store.run(job_rescue(9, LEASE * SECOND))
        return sorted(end.claim.worker for end in ends)


@pytest.fixture
def fleet(tables_url: str) -> Iterator[Fleet]:
    fleet = Fleet(tables_url)
    with fleet.store:
        yield fleet


def test_who_is_silent_while_others_are_heard_is_dead_after_a_lease(fleet: Fleet):
    fleet.run_jobs("ann", "bob", "eve")
    fleet.live(LEASE, "ann")
    assert fleet.rescued() == []
    fleet.live(BEAT, "ann")
    assert fleet.rescued() == ["bob", "eve"]
    assert fleet.rescued() == []


@pytest.mark.parametrize("seconds", [LEASE - BEAT + 1, LEASE + 1, DAY])
@pytest.mark.parametrize("first", ["newcomer", "ann"])
def test_after_an_outage_all_have_a_lease_to_be_heard_of_again(
    fleet: Fleet, seconds: float, first: str
):
    fleet.run_jobs("ann", "bob", "eve")
    fleet.outage(seconds)
    assert fleet.rescued() == []
    fleet.beat(first)
    assert fleet.rescued() == []
    fleet.live(BEAT, "newcomer", "ann")
    assert fleet.rescued() == []
    fleet.live(LEASE - BEAT, "newcomer", "ann", "bob")
    assert fleet.rescued() == []
    fleet.live(BEAT, "newcomer", "ann", "bob")
    assert fleet.rescued() == ["eve"]


def test_a_clock_that_is_set_kills_nobody_and_keeps_nobody_alive(fleet: Fleet):
    fleet.run_jobs("ann", "bob", "eve")
    for step in (DAY, -2 * DAY, DAY):
        fleet.outage(step)
        assert fleet.rescued() == []
        fleet.beat("ann")
        assert fleet.rescued() == []
        fleet.live(BEAT, "bob", "eve")
        assert fleet.rescued() == []
    fleet.outage(-DAY)
    fleet.live(LEASE + BEAT, "ann", "bob")
    assert fleet.rescued() == []
    fleet.live(BEAT, "ann", "bob")
    assert fleet.rescued() == ["eve"]


def test_where_all_are_dead_a_newcomer_has_their_jobs_after_a_lease(fleet: Fleet):
    fleet.run_jobs("ann", "bob")
    fleet.outage(DAY)
    fleet.beat("newcomer")
    fleet.live(LEASE, "newcomer")
    assert fleet.rescued() == []
    fleet.live(BEAT, "newcomer")
    assert fleet.rescued() == ["ann", "bob"]


def test_a_newcomer_that_comes_at_once_waits_for_nothing_but_their_lease(fleet: Fleet):
    fleet.run_jobs("ann")
    fleet.live(LEASE + BEAT, "newcomer")
    assert fleet.rescued() == ["ann"]


def test_workers_that_come_and_go_do_not_keep_the_dead_alive(fleet: Fleet):
    fleet.run_jobs("dead")
    for visitor in ("first", "second"):
        fleet.outage(DAY)
        fleet.beat(visitor)
        assert fleet.rescued() == ([] if visitor == "first" else ["dead"])


def test_nor_does_one_that_beats_as_rarely_as_it_may(fleet: Fleet):
    fleet.run_jobs("dead")
    for _ in range(4):
        fleet.outage(LEASE / 3)
        fleet.beat("slow")
    assert fleet.rescued() == ["dead"]


def test_a_longer_lease_is_not_shortened(fleet: Fleet):
    fleet.run_jobs("patient")
    fleet.beat("patient", lease=DAY)
    fleet.outage(2 * LEASE)
    fleet.beat("newcomer")
    fleet.live(2 * LEASE, "newcomer")
    assert fleet.rescued() == []


@pytest.mark.parametrize("seconds", [2 * LEASE, DAY])
def test_who_was_idle_and_claims_before_it_beats_keeps_what_it_claimed(
    fleet: Fleet, seconds: float
):
    fleet.beat("idle")
    fleet.outage(seconds)
    fleet.beat("newcomer")
    assert fleet.rescued() == []
    fleet.claim("idle")
    assert fleet.rescued() == []
    fleet.live(LEASE + BEAT, "newcomer")
    assert fleet.rescued() == ["idle"]
