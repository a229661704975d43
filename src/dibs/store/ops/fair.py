"""Turns of tenants in fair queues: which of their jobs are ready.

A job of a fair queue waits, blocked, under its tenant's key. A short stock of jobs is ready at a
time, chosen by the tenants' turns; whenever workers took some of it, it is filled up again.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence

from dibs.model.fair import STOCK, Tenant, share_out
from dibs.model.queues import QueuePolicy, policy_from_json
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


@operation()
def fair_fill(queue: str) -> Steps[int]:
    """Fill the stock of ready jobs of `queue` by the turns of its tenants; return by how many."""
    stock = (yield Statement("fair_stock", {"queue": queue, "most": STOCK}))[0][0]
    if stock > STOCK // 2:
        return 0
    time_key = _time_key(queue)
    locked = Rows(("key", "name"), [(time_key, FAIR + queue)])
    yield Statement("limit_lock", {"rows": locked})
    [[_, _, _, time, *_]] = yield Statement("limit_state", {"keys": [time_key], "most": 1})
    rows = yield Statement("queue_get", {"name": queue})
    policy = policy_from_json(rows[0][1] if rows else None)
    wanted = RELEASED if policy.fair is None else STOCK - stock
    return (yield from _fill(queue, time_key, policy, wanted, time))


def _fill(
    queue: str, time_key: str, policy: QueuePolicy, wanted: int, time: int
) -> Generator[Statement, RowList, int]:
    rows = yield Statement("fair_tenants", {"queue": queue, "count": wanted})
    weights: Mapping[str, int] = policy.fair.weights if policy.fair else {}
    tenants = {
        key: Tenant(key, passed, waiting, weights.get(str(tenant_of(key)[1]), 1))
        for key, passed, waiting in rows
    }
    given, passes, reached = share_out(tenants.values(), wanted)
    if given:
        counts = Rows(("key", "count"), sorted(given.items()))
        yield Statement("limit_admit", {"rows": counts})
    # Only so many were counted: who has used them up may have more.
    left: list[Row] = [
        (key, None if given[key] == one.waiting < wanted else passes[key])
        for key, one in sorted(tenants.items())
    ]
    if left:
        yield Statement("fair_pass", {"rows": Rows(("key", "pass"), left)})
        columns = ("key", "full_at", "held_until", "wake_at", "sure")
        kept = Rows(columns, [(time_key, max(time, reached), 0, None, 1)])
        yield Statement("limit_save", {"rows": kept})
    return given.total()


@operation(reads=True)
def fair_queues() -> Steps[list[str]]:
    """Return the queues of which tenants wait for their turn."""
    return [row[0] for row in (yield Statement("fair_queues", {}, alone=True))]
