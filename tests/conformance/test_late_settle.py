"""Only the holder of a job's valid claim ends it: what comes too late changes nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from dibs.model.job import AttemptOutcome, DeadReason, Job, NewJob, State
from dibs.model.lifecycle import Bury, Claim, Failed, Finish, Requeue, Settlement
from dibs.model.lines import Demand, Serving
from dibs.store import Role, Store, open_store
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_attempts, job_get
from dibs.store.ops.settle import job_settle
from dibs.store.ops.stats import OutcomeCount, stats_count

HOUR = 3600 * 1_000_000
NOON = 1_767_268_800 * 1_000_000
LATE, NEWS = Failed("LateError", "too late", "…"), Failed("ValueError", "boom", "…")
ENDS = ["completed", "cancelled", "retry", "snooze", "release", "bury"]


@pytest.fixture
def store(tables_url: str) -> Iterator[Store]:
    # A clock that stands still: two jobs with the same history look the same.
    with open_store(tables_url, Role.WORKER, clock=lambda: NOON) as store:
        yield store


def end(how: str, claim: Claim, failure: Failed = NEWS) -> Settlement:
    match how:
        case "completed" | "cancelled":
            return Finish(claim, State(how), result='"done"', reason="so be it")
        case "retry":
            return Requeue(
                claim, "retry", HOUR, counted=True, record=AttemptOutcome.FAILED, failure=failure
            )
        case "snooze":
            return Requeue(claim, "snooze", HOUR, counted=False, record=AttemptOutcome.SNOOZED)
        case "release":
            return Requeue(claim, "release", None, counted=False, record=None)
        case _:
            return Bury(claim, DeadReason.ATTEMPTS_EXHAUSTED, failure)


def claim_one(store: Store) -> Claim:
    [job] = store.run(job_claim("w", Serving(("default",)), ["mail"], Demand(1))).jobs
    return job.ticket


def enqueue(store: Store) -> int:
    return store.run(job_enqueue([NewJob("mail", "{}")]))[0].id


def told(store: Store, job_id: int) -> tuple[Job, int, list[OutcomeCount]]:
    """Return all that is known of a job, and of how jobs ended."""
    attempts = store.run(job_attempts(job_id))
    return store.run(job_get(job_id)), len(attempts), store.run(stats_count()).outcomes


def test_nothing_to_settle_is_nothing_to_do(store: Store):
    assert store.run(job_settle([])).moved == set()


@pytest.mark.parametrize("meanwhile", [*ENDS, "running again"])
def test_a_late_end_changes_nothing(store: Store, meanwhile: str):
    job_id = enqueue(store)
    old = claim_one(store)
    if meanwhile == "running again":
        store.run(job_settle([end("release", old)]))
        assert claim_one(store).number > old.number
    else:
        assert store.run(job_settle([end(meanwhile, old)])).moved == {job_id}

    before = told(store, job_id)
    for late in ENDS:
        assert store.run(job_settle([end(late, old, LATE)])).moved == set()
        assert told(store, job_id) == before


def test_nobody_ends_what_another_worker_runs(store: Store):
    """Id and number may be the same where a worker still has a claim of a database before this."""
    job_id = enqueue(store)
    mine = claim_one(store)
    before = told(store, job_id)
    for how in ENDS:
        assert store.run(job_settle([end(how, replace(mine, worker="x"), LATE)])).moved == set()
        assert told(store, job_id) == before
    both = [end("completed", replace(mine, worker="x")), end("release", mine)]
    assert store.run(job_settle(both)).moved == {job_id}
    assert store.run(job_get(job_id)).state is State.READY


@pytest.mark.parametrize("timely", ENDS)
def test_a_late_end_in_the_same_batch_as_the_timely_one(store: Store, timely: str):
    # A worker that was frozen beyond its lease may have got its own job again.
    for late, late_first in product(ENDS, [True, False]):
        job_id = enqueue(store)
        old = claim_one(store)
        store.run(job_settle([end("release", old)]))
        new = claim_one(store)
        twin_id = enqueue(store)
        twin = claim_one(store)

        both = [end(late, old, LATE), end(timely, new)]
        batch = [*(both if late_first else both[::-1]), end(timely, twin)]
        assert store.run(job_settle(batch)).moved == {job_id, twin_id}

        job, attempts, _ = told(store, job_id)
        other, same_attempts, _ = told(store, twin_id)
        assert (replace(job, id=0), attempts) == (replace(other, id=0), same_attempts)
        if job.state is State.READY:
            assert claim_one(store).number > new.number
            claim_one(store)


def test_claims_grow_over_every_kind_of_return(store: Store):
    enqueue(store)
    numbers = []
    for how in ("release", "release", "snooze_now", "retry_now", "release"):
        claim = claim_one(store)
        numbers.append(claim.number)
        again = end("release", claim)
        if how == "snooze_now":
            again = Requeue(claim, "snooze", 0, counted=False, record=AttemptOutcome.SNOOZED)
        if how == "retry_now":
            again = Requeue(
                claim, "retry", 0, counted=True, record=AttemptOutcome.FAILED, failure=NEWS
            )
        store.run(job_settle([again]))
    assert numbers == sorted(set(numbers))
