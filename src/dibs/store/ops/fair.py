"""Turns of tenants in fair queues: which of their jobs are ready.

A job of a fair queue waits, blocked, under its tenant's key. Before a worker claims from the queue,
as many jobs are made ready as it is about to take, chosen by the tenants' turns.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from dibs.model.fair import Tenant, share_out
from dibs.model.queues import policy_from_json
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

FAIR = "fair:"
"""Before the queue and the tenant in a key."""
RELEASED = 1000
"""Jobs made ready per transaction where a queue is not fair any more."""


def tenant_of(key: str) -> tuple[str, str | None]:
    """Return the queue and the tenant in a key."""
    queue, tenant = json.loads(key.removeprefix(FAIR))
    return queue, tenant


def _time_key(queue: str) -> str:
    """Return the key of a queue's time, which is locked while turns are given."""
    return FAIR + json.dumps([queue])


def fair_join(keys: Sequence[str]) -> Generator[Statement, RowList, None]:
    """Note that tenants have new jobs; those who had none start where the others are."""
    rows = [(key, queue, _time_key(queue)) for key in keys for queue in [tenant_of(key)[0]]]
    yield Statement("fair_join", {"rows": Rows(("key", "queue", "time_key"), rows)})


@dataclass(frozen=True, slots=True)
class Filled:
    """What the tenants of a queue were given."""

    count: int
    """How many of their jobs were made ready."""
    waiting: bool
    """Whether there are tenants left whose jobs wait."""


@operation()
def fair_fill(queue: str, demand: int) -> Steps[Filled]:
    """Make jobs of `queue` ready by the turns of its tenants, until `demand` can be claimed.

    No more than a claim is about to take: what is ready is served by urgency and age, and those
    of a tenant that has waited for long would go before those of the others again and again.
    """
    time_key = _time_key(queue)
    locked = Rows(("key", "name"), [(time_key, FAIR + queue)])
    yield Statement("limit_lock", {"rows": locked})
    [[stock, text]] = yield Statement("fair_stock", {"queue": queue, "most": demand})
    fair = policy_from_json(text).fair
    wanted = RELEASED if fair is None else demand - stock
    if wanted <= 0:
        return Filled(0, waiting=True)
    rows = yield Statement("fair_tenants", {"queue": queue, "count": wanted})
    weights: Mapping[str, int] = {} if fair is None else fair.weights
    tenants = [
        Tenant(key, passed, waiting, weights.get(str(tenant_of(key)[1]), 1))
        for key, passed, waiting in rows
    ]
    given, passes, time = share_out(tenants, wanted)
    if given:
        counts = Rows(("key", "count"), sorted(given.items()))
        yield Statement("limit_admit", {"rows": counts})
    # Only so many were counted: who has used them up may have more.
    left: list[Row] = [
        (one.key, None if given[one.key] == one.waiting < wanted else passes[one.key])
        for one in sorted(tenants)
    ]
    if left:
        table = Rows(("key", "pass"), left)
        yield Statement("fair_pass", {"rows": table, "time_key": time_key, "time": time})
    stay = any(passed is not None for _, passed in left) or len(tenants) == wanted
    return Filled(given.total(), stay)


@operation(reads=True)
def fair_queues() -> Steps[list[str]]:
    """Return the queues of which tenants wait for their turn."""
    return [row[0] for row in (yield Statement("fair_queues", {}, alone=True))]
