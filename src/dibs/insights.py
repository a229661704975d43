"""What people and programs see of a queue: figures and records, ready to show or to send.

The command line, the web and the metrics read through here; none of them sees SQL.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dibs.model.job import WAITING, State
from dibs.model.pauses import Pause, Paused, pauses_of
from dibs.model.times import from_micros
from dibs.store.ops.pauses import pause_list
from dibs.store.ops.schedules import Schedule
from dibs.store.ops.stats import Counts, OutcomeCount, PlaceCount, stats_count
from dibs.store.ops.workers import WorkerRecord, worker_list
from dibs.store.statement import Steps, operation

ENDED = (State.COMPLETED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class LineStats:
    """One line: the ready jobs of one queue and priority."""

    queue: str
    priority: int
    ready: int
    oldest_age: timedelta
    """How long the oldest of them could have started already."""


@dataclass(frozen=True, slots=True)
class GroupStats:
    """The jobs of one queue, or of one kind."""

    name: str
    states: dict[State, int]
    """How many stand in each state; completed and cancelled since the counters began."""
    failed_attempts: int
    paused: Pause | None = None
    """None where its jobs start as always."""


@dataclass(frozen=True, slots=True)
class Stats:
    """A whole queue system at one moment."""

    at: datetime
    states: dict[State, int]
    """How many jobs stand in each state; completed and cancelled since the counters began."""
    failed_attempts: int
    queues: list[GroupStats]
    kinds: list[GroupStats]
    lines: list[LineStats]
    """Highest priority first, queue by queue."""
    workers: list[WorkerRecord]

    @property
    def waiting(self) -> int:
        """Jobs that have not started: scheduled, blocked or ready."""
        return sum(self.states[state] for state in WAITING)


@operation(reads=True)
def stats_read() -> Steps[Stats]:
    """Return the figures of all queues."""
    counts = yield from stats_count().steps()
    paused = yield from pause_list().steps()
    workers = yield from worker_list().steps()
    return _stats(counts, paused, workers)


def _stats(counts: Counts, paused: list[Paused], workers: list[WorkerRecord]) -> Stats:
    whole = _group("", counts.places, counts.outcomes)
    return Stats(
        at=from_micros(counts.now),
        states=whole.states,
        failed_attempts=whole.failed_attempts,
        queues=_groups("queue", counts, pauses_of("queue", paused)),
        kinds=_groups("kind", counts, pauses_of("kind", paused)),
        lines=_lines(counts),
        workers=workers,
    )


def _groups(attribute: str, counts: Counts, paused: Mapping[str, Pause]) -> list[GroupStats]:
    rows: list[PlaceCount | OutcomeCount] = [*counts.places, *counts.outcomes]
    return [
        _group(
            name,
            [place for place in counts.places if getattr(place, attribute) == name],
            [outcome for outcome in counts.outcomes if getattr(outcome, attribute) == name],
            paused.get(name),
        )
        for name in sorted({getattr(row, attribute) for row in rows} | paused.keys())
    ]


def _group(
    name: str,
    places: Iterable[PlaceCount],
    outcomes: Iterable[OutcomeCount],
    paused: Pause | None = None,
) -> GroupStats:
    found: Counter[str] = Counter()
    for place in places:
        found[place.state] += place.count
    for outcome in outcomes:
        if outcome.outcome in {*ENDED, "failed"}:  # the dead are counted where they stand
            found[outcome.outcome] += outcome.count
    return GroupStats(name, {state: found[state] for state in State}, found["failed"], paused)


def _lines(counts: Counts) -> list[LineStats]:
    ready = [place for place in counts.places if place.state is State.READY]
    lines = []
    for queue, priority in sorted({(p.queue, -p.priority) for p in ready}):
        line = [p for p in ready if (p.queue, -p.priority) == (queue, priority)]
        age = timedelta(microseconds=max(0, counts.now - min(p.oldest for p in line)))
        lines.append(LineStats(queue, -priority, sum(p.count for p in line), age))
    return lines


def schedule_fields(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as flat data; what cannot be read of it is None."""
    spec = schedule.spec
    told: dict[str, Any] = dict.fromkeys(_TOLD)
    if spec is not None:
        timing, job = spec.timing, spec.job
        told |= {
            "kind": spec.kind, "args": spec.args, "cron": timing.cron, "every": timing.every,
            "tz": timing.tz, "missed": str(spec.missed), "overlap": str(spec.overlap),
            "jitter": spec.jitter, "queue": job.queue, "priority": int(job.priority),
            "max_attempts": job.max_attempts, "timeout": spec.options.get("timeout"),
        }  # fmt: skip
    kept = {name: getattr(schedule, name) for name in _KEPT}
    return {"name": schedule.name, **told, **kept}


_TOLD = (
    "kind", "args", "cron", "every", "tz", "missed", "overlap", "jitter", "queue", "priority",
    "max_attempts", "timeout",
)  # fmt: skip
_KEPT = (
    "source", "paused_at", "paused_by", "pause_reason", "next_at", "last_at", "created_at",
    "updated_at",
)  # fmt: skip


def to_json(value: Any) -> Any:
    """Return records and figures as JSON values: times in ISO 8601, ages in seconds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_json(getattr(value, field.name)) for field in fields}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value
