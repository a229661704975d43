"""Why a job does not run whose queue or kind is paused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dibs import Pause, State, Verdict
from tests.conformance.explaining import NOON, Shop

WHAT = {"queues": Verdict.QUEUE_PAUSED, "kinds": Verdict.KIND_PAUSED}
NAMES = {"queues": "mail", "kinds": "note"}


@pytest.mark.parametrize("what", WHAT)
class TestBoth:
    def test_says_who_why_and_what_to_do(self, shop: Shop, what: str):
        shop.worker()
        job = shop.add(waited=60)
        getattr(shop.face, what).pause(NAMES[what], reason="it's down.", author="ann")
        found = shop.explain(job)
        assert (found.verdict, found.obstacle) == (WHAT[what], WHAT[what])
        assert found.pause == Pause(NOON, None, "ann", "it's down.")
        whose = {"queues": "Queue mail", "kinds": "Kind note"}[what]
        assert found.sentences[1] == (
            f"{whose} has been paused since 2026-05-04 12:00:00Z, by ann: it's down. "
            f"Resume it: dibs {what} resume {NAMES[what]}"
        )
        assert (found.starts_in, len(found.candidates)) == (None, 1)
        getattr(shop.face, what).resume(NAMES[what])
        assert (shop.explain(job).verdict, shop.explain(job).pause) == ("about_to_start", None)

    @pytest.mark.parametrize(("lasts", "in_the_way"), [(599, False), (600, False), (601, True)])
    def test_of_a_job_that_is_not_due(self, shop: Shop, what: str, lasts: float, in_the_way: bool):
        shop.worker()
        getattr(shop.face, what).pause(NAMES[what], lasting=lasts)
        found = shop.explain(shop.add(waited=-600))
        assert found.verdict is Verdict.NOT_DUE
        assert found.obstacle == (WHAT[what] if in_the_way else None)
        assert (found.pause is not None) == in_the_way
        told = "As things are, nobody would start it then." in str(found)
        assert told == in_the_way

    def test_until_it_is_over(self, shop: Shop, what: str):
        shop.worker(lease=3600_000_000)
        job = shop.add()
        getattr(shop.face, what).pause(NAMES[what], until=NOON + timedelta(minutes=1))
        assert ", until 2026-05-04 12:01:00Z" in str(shop.explain(job))
        shop.now += timedelta(minutes=1)
        assert shop.explain(job).verdict is Verdict.ABOUT_TO_START

    def test_comes_before_what_workers_lack(self, shop: Shop, what: str):
        getattr(shop.face, what).pause(NAMES[what])
        assert shop.explain(shop.add()).obstacle is WHAT[what]

    def test_of_others_does_not_matter(self, shop: Shop, what: str):
        getattr(shop.face, what).pause("other")
        assert shop.explain(shop.add()).obstacle is Verdict.NO_WORKERS


def test_a_job_that_stands_aside_says_so(shop: Shop):
    shop.worker()
    job = shop.add()
    shop.face.kinds.pause("note")
    shop.claim(1)
    found = shop.explain(job)
    assert (found.job.state, found.job.reason) == (State.BLOCKED, "kind:note")
    assert found.verdict is Verdict.KIND_PAUSED
    shop.face.kinds.resume("note")
    assert shop.explain(job).verdict is Verdict.MOVING


def test_of_two_pauses_that_of_the_queue_is_told_first(shop: Shop):
    job = shop.add()
    shop.face.kinds.pause("note")
    shop.face.queues.pause("mail")
    assert shop.explain(job).verdict is Verdict.QUEUE_PAUSED
    shop.face.queues.resume("mail")
    assert shop.explain(job).verdict is Verdict.KIND_PAUSED


def test_a_job_that_runs_is_not_concerned(shop: Shop):
    shop.worker()
    job = shop.add()
    shop.claim(1)
    shop.face.queues.pause("mail")
    found = shop.explain(job)
    assert (found.verdict, found.pause) == (Verdict.RUNNING, None)
