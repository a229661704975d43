"""A statement has one time, however many steps an engine needs for it."""

from __future__ import annotations

import itertools

from dibs.model.job import NewJob
from dibs.store import Role, open_store
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.workers import job_promote


def test_what_becomes_due_while_promoting_is_not_lost(sqlite_url: str) -> None:
    ticking = itertools.count(1_000_000)
    with open_store(sqlite_url, Role.WORKER, clock=lambda: next(ticking)) as store:
        due = range(1_000_000, 1_000_400, 2)
        store.run(job_enqueue([NewJob("k", "{}", scheduled_at=at + 100) for at in due]))
        promoted = 0
        while next(ticking) < due[-1] + 200:
            promoted += len(store.run(job_promote()))
    assert promoted == len(due)
