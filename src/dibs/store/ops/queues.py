"""The policies of queues: declared in code, configured while the system runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dibs.model.queues import STRICT, QueuePolicy, policy_from_json, policy_to_json
from dibs.model.times import from_micros
from dibs.store.statement import Row, Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue that has a policy, or once had one."""

    name: str
    policy: QueuePolicy
    """What holds: the configured policy, without one the declared one, and else strict order."""
    declared: QueuePolicy | None
    """By the code of the worker that started last."""
    configured: QueuePolicy | None
    """By a person or program, while the system ran; wins over the declared one."""
    updated_at: datetime | None
    """When either changed last."""


def _queue(row: Row) -> Queue:
    name, policy, declared, configured, updated_at = row
    return Queue(
        name,
        policy_from_json(policy),
        None if declared is None else policy_from_json(declared),
        None if configured is None else policy_from_json(configured),
        from_micros(updated_at),
    )


@operation()
def queue_declare(policies: Mapping[str, QueuePolicy]) -> Steps[None]:
    """Store what code declares; policies that are declared no differently are left alone."""
    rows = [(name, policy_to_json(policy)) for name, policy in sorted(policies.items())]
    yield Statement("queue_declare", {"queues": Rows(("name", "declared"), rows)}, alone=True)


@operation()
def queue_configure(name: str, policy: QueuePolicy) -> Steps[Queue]:
    """Set the policy of a queue from now on."""
    configured = {"name": name, "configured": policy_to_json(policy)}
    return _queue((yield Statement("queue_configure", configured, alone=True))[0])


@operation()
def queue_reset(name: str) -> Steps[Queue]:
    """Return a queue to the policy that code declares; one that nobody configured is left alone."""
    yield Statement("queue_reset", {"name": name})
    return (yield from queue_get(name).steps())


@operation(reads=True)
def queue_get(name: str) -> Steps[Queue]:
    """Return a queue with its policy; strict where nobody said anything."""
    rows = yield Statement("queue_get", {"name": name}, alone=True)
    return _queue(rows[0]) if rows else Queue(name, STRICT, None, None, None)


@operation(reads=True)
def queue_list() -> Steps[list[Queue]]:
    """Return the queues that have a policy, by name."""
    return [_queue(row) for row in (yield Statement("queue_list", {}, alone=True))]
