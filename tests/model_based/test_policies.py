"""Both engines claim in the order of the policies, as a look at all jobs for each turn gives it.

The histories do, too; here more jobs wait, and all that happens is claims.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dibs.model.job import NewJob
from dibs.model.lines import Demand, Serving
from dibs.model.ordering import Credit
from dibs.model.queues import QueuePolicy
from dibs.model.times import SECOND
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from tests.model_based.engines import Engines
from tests.model_based.strategies import QUEUES, demands, policies, priorities, servings
from tests.support.policy_oracle import Owed, Waiting, next_jobs, ranks

START = 1_767_225_600 * SECOND
AGES = st.sampled_from([0, 0, 1, 9, 10, 20, 30, 31, 40, 400])
jobs_waiting = st.lists(
    st.tuples(st.sampled_from(QUEUES), priorities, AGES), min_size=4, max_size=30
)
claims = st.tuples(st.sampled_from(["ann", "bob"]), servings, demands, st.sampled_from([0, 1, 10]))


class Clock:
    """A clock that is moved."""

    now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engines(sqlite_url: str, postgres_url: str, clock: Clock) -> Iterator[Engines]:
    engines = Engines(sqlite_url, postgres_url, clock)
    yield engines
    engines.close()


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    places=jobs_waiting,
    said=st.fixed_dictionaries(dict.fromkeys(QUEUES, policies)),
    claims=st.lists(claims, min_size=2, max_size=8),
    heads=st.sampled_from([None, 1, 2]),
)
def test_every_claim_takes_what_the_policies_say(
    engines: Engines,
    clock: Clock,
    places: list[tuple[str, int, int]],
    said: dict[str, QueuePolicy],
    claims: list[tuple[str, Serving, Demand, int]],
    heads: int | None,
):
    engines.empty()
    clock.now = START
    for queue, policy in said.items():
        engines.configure(queue, policy, None, clock.now)
    waiting = [
        Waiting(queue, priority, clock.now - age * SECOND, job_id)
        for job_id, (queue, priority, age) in enumerate(places, 1)
    ]
    engines.run(
        job_enqueue(
            [
                NewJob("send", "{}", w.queue, w.priority, scheduled_at=w.scheduled_at)
                for w in waiting
            ]
        )
    )
    owed: dict[str, Credit] = {}
    debts: dict[str, Owed] = {"ann": {}, "bob": {}}
    for worker, serving, demand, seconds in claims:
        clock.now += seconds * SECOND
        claim = job_claim(worker, serving, ["send"], demand, owed.get(worker), heads=heads)
        found = engines.run(claim)
        owed[worker] = found.credit
        expected = next_jobs(waiting, serving, demand, said, clock.now, debts[worker])
        assert [job.id for job in found.jobs] == [job.id for job in expected]
        assert [job.rank for job in found.jobs] == ranks(expected, serving, said, clock.now)
        waiting = [job for job in waiting if job not in expected]
