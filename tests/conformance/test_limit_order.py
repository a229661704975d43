"""One claim of jobs with limits and without: limits change nothing about who is first."""

from __future__ import annotations

import pytest

from dibs import Limit
from dibs.model.job import NewJob
from dibs.model.lines import Demand, Serving
from dibs.store import Role, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.limit_rules import limit_declare
from dibs.store.ops.limit_turns import limit_wake

WIDE = Limit(name="wide", concurrency=10)
NARROW = Limit(name="narrow", concurrency=1)


@pytest.mark.parametrize("expected", [False, True], ids=["as a surprise", "as expected"])
def test_all_come_in_the_order_of_their_lines(tables_url: str, expected: bool):
    limits = [(), (WIDE,), (), (NARROW,), (WIDE,), (NARROW,)]
    jobs = [
        NewJob("mail", "{}", priority=priority, limits=tuple(one.use("mail", {}, 1) for one in own))
        for priority, own in enumerate(limits)
    ]
    with open_store(tables_url, Role.WORKER) as store:
        store.run(limit_declare({str(one.name): one.rule for one in (WIDE, NARROW)}))
        store.run(job_enqueue(jobs))
        store.run(limit_wake())
        claim = job_claim("w", Serving(("default",)), ["mail"], Demand(9), limited=expected)
        found = store.run(claim)
    assert [job.priority for job in found.jobs] == [5, 4, 2, 1, 0], "the other narrow one waits"
    assert [job.counted for job in found.jobs] == [True, True, False, True, False]
