"""Queues: their policies, declared in code or configured while the system runs, and pauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dibs.model.pauses import NewPause, Pause, pauses_of
from dibs.model.queues import STRICT, QueuePolicy, policy_from_json, policy_to_json
from dibs.model.times import from_micros
from dibs.store.ops.pauses import pause_list, read_pause, set_pause
from dibs.store.statement import Row, Rows, Statement, Steps, operation


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, by what was said of it: its policy, and whether it is paused."""

    name: str
    policy: QueuePolicy
    """What holds: the configured policy, without one the declared one, and else strict order."""
    declared: QueuePolicy | None
    """By the code of the worker that started last."""
    configured: QueuePolicy | None
    """By a person or program, while the system ran; wins over the declared one."""
    updated_at: datetime | None
    """When either changed last."""
    paused: Pause | None = None
    """None where its jobs start as always."""


def _queue(row: Row, paused: Pause | None) -> Queue:
    name, policy, declared, configured, updated_at = row
    return Queue(
        name,
        policy_from_json(policy),
        None if declared is None else policy_from_json(declared),
        None if configured is None else policy_from_json(configured),
        from_micros(updated_at),
        paused,
    )


def _strict(name: str, paused: Pause | None) -> Queue:
    """Return a queue of whose policy nobody has said anything."""
    return Queue(name, STRICT, None, None, None, paused)


@operation()
def queue_declare(policies: Mapping[str, QueuePolicy]) -> Steps[None]:
    """Store what code declares; policies that are declared no differently are left alone."""
    rows = [(name, policy_to_json(policy)) for name, policy in sorted(policies.items())]
    yield Statement("queue_declare", {"queues": Rows(("name", "declared"), rows)}, alone=True)


@operation()
def queue_configure(name: str, policy: QueuePolicy) -> Steps[Queue]:
    """Set the policy of a queue from now on."""
    configured = {"name": name, "configured": policy_to_json(policy)}
    yield Statement("queue_configure", configured)
    return (yield from queue_get(name).steps())


@operation()
def queue_reset(name: str) -> Steps[Queue]:
    """Return a queue to the policy that code declares; one that nobody configured is left alone."""
    yield Statement("queue_reset", {"name": name})
    return (yield from queue_get(name).steps())


@operation()
def queue_pause(name: str, pause: NewPause) -> Steps[Queue]:
    """Have no job of a queue start, until it is resumed or the pause is over."""
    yield from set_pause("queue", name, pause)
    return (yield from queue_get(name).steps())


@operation()
def queue_resume(name: str) -> Steps[Queue]:
    """Let jobs of a queue start again; one that is not paused is left alone."""
    yield Statement("pause_end", {"what": "queue", "name": name})
    return (yield from queue_get(name).steps())


@operation(reads=True)
def queue_get(name: str) -> Steps[Queue]:
    """Return a queue with its policy, strict where nobody said anything, and its pause."""
    rows = yield Statement("queue_get", {"name": name})
    paused = yield from read_pause("queue", name)
    return _queue(rows[0], paused) if rows else _strict(name, paused)


@operation(reads=True)
def queue_list() -> Steps[list[Queue]]:
    """Return the queues that have a policy, had one or are paused, by name."""
    rows = yield Statement("queue_list", {})
    paused = pauses_of("queue", (yield from pause_list().steps()))
    found = [_queue(row, paused.pop(row[0], None)) for row in rows]
    return sorted(
        [*found, *(_strict(name, pause) for name, pause in paused.items())],
        key=lambda queue: queue.name,
    )
