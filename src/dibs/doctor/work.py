"""Workers and what waits for them: the same on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from dibs.doctor.finding import Check, Finding, graded, ok, problem, warning
from dibs.doctor.pauses import check_pauses, is_due, startable
from dibs.doctor.schedules import check_schedules
from dibs.explain.figures import many, span
from dibs.model.job import WAITING
from dibs.model.times import from_micros
from dibs.model.verdicts import Verdict, obstacle_at, obstacle_of
from dibs.store.ops.doctor import Facts
from dibs.store.ops.stats import PlaceCount
from dibs.store.ops.workers import WorkerRecord

APART = timedelta(seconds=1)
"""Clocks that differ by more are told."""
MOST = 20
"""Findings of one kind, at most."""
START = "start one: dibs --app module:attribute worker"


def check_work(facts: Facts, apart: int) -> Iterator[Finding]:
    """Say how the workers are, and what none of them can run.

    Args:
        facts: what was read.
        apart: this process's clock minus the database's, in microseconds.
    """
    now = from_micros(facts.now)
    live = [worker for worker in facts.workers if worker.expires_at >= now]
    yield from _workers(facts, live, now)
    if live:
        yield from _loops(live)
        waiting = [place for place in startable(facts) if place.state in WAITING]
        yield from _unserved(waiting, live, facts.now)
    yield from check_pauses(facts)
    yield from check_schedules(facts.schedules, {kind for one in live for kind in one.kinds}, now)
    yield from _clocks(live, timedelta(microseconds=apart))


def _workers(facts: Facts, live: list[WorkerRecord], now: datetime) -> Iterator[Finding]:
    if live:
        yield ok(Check.WORKERS, f"{many(len(live), 'worker')} alive")
    else:
        due = sum(place.count for place in startable(facts) if is_due(place, facts.now))
        yield graded(
            due > 0, Check.WORKERS, f"no worker is alive, and {many(due, 'job')} could run", START
        )
    for lost in [worker for worker in facts.workers if worker.expires_at < now][-MOST:]:
        yield warning(
            Check.WORKERS,
            f"worker {lost.id} fell silent {span(now - lost.beat_at)} ago: it died, was stopped by "
            "force, or cannot reach the database",
            "its log tells more; its jobs go to the other workers, and its row goes after an hour",
        )


def _loops(live: list[WorkerRecord]) -> Iterator[Finding]:
    late = [
        (worker, name, loop.late)
        for worker in live
        for name, loop in worker.loops.items()
        if loop.late > worker.expires_at - worker.beat_at
    ]
    if not late:
        yield ok(Check.LOOPS, "the loops of all workers go on")
    for worker, name, since in late[:MOST]:
        yield problem(
            Check.LOOPS,
            f"the loop {name} of worker {worker.id} has not succeeded for {span(since)} longer "
            "than it should",
            "its log tells more; a handler that blocks the event loop is the usual reason: make it "
            "a plain function, which runs in a thread, and restart the worker",
        )


# --- What nobody can run -------------------------------------------------------------------


def _unserved(
    waiting: Iterable[PlaceCount], live: list[WorkerRecord], now: int
) -> Iterator[Finding]:
    stuck: dict[Verdict, dict[Any, list[PlaceCount]]] = {}
    for place in waiting:
        obstacle = obstacle_of(
            [obstacle_at(worker, place.queue, place.kind, place.priority) for worker in live]
        )
        if obstacle is not None:
            key = _KINDS[obstacle].key(place)
            stuck.setdefault(obstacle, {}).setdefault(key, []).append(place)
    for obstacle, kind in _KINDS.items():
        groups = sorted(stuck.get(obstacle, {}).values(), key=_total, reverse=True)
        if not groups:
            yield ok(kind.code, kind.well)
        for places in groups[:MOST]:
            yield kind.finding(places, now)


def _total(places: Iterable[PlaceCount]) -> int:
    return sum(place.count for place in places)


class _Kind:
    """One reason why no worker can run a job."""

    def __init__(
        self, code: Check, well: str, key: Callable[[PlaceCount], Any], told: str, advice: str
    ) -> None:
        self.code, self.well, self.key = code, well, key
        self._told, self._advice = told, advice

    def finding(self, places: list[PlaceCount], now: int) -> Finding:
        """Tell of the jobs that nobody can run; a problem once the first of them could start."""
        due = [place for place in places if is_due(place, now)]
        oldest = timedelta(microseconds=now - min((place.oldest for place in due), default=now))
        fields = {name: getattr(places[0], name) for name in ("queue", "kind", "priority")}
        waits = f"; the oldest could have started {span(oldest)} ago" if due else ""
        told = self._told.format(jobs=many(_total(places), "job"), **fields)
        return graded(bool(due), self.code, told + waits, self._advice.format(**fields))


_KINDS = {
    Verdict.QUEUE_UNSERVED: _Kind(
        Check.QUEUES, "every queue in which jobs wait is served", lambda place: place.queue,
        "{jobs} in queue {queue!r}, which no live worker serves",
        START + " --queue {queue}",
    ),
    Verdict.KIND_UNKNOWN: _Kind(
        Check.KINDS, "workers know every kind of job that waits",
        lambda place: (place.queue, place.kind),
        "{jobs} of kind {kind!r} in queue {queue!r}, whose live workers don't know it",
        "start a worker with the app that declares it, or update the running ones",
    ),
    Verdict.PRIORITY_OUT_OF_RANGE: _Kind(
        Check.PRIORITIES, "every priority of jobs that wait is in a worker's range",
        lambda place: (place.queue, place.priority),
        "{jobs} of priority {priority} in queue {queue!r}, outside the range of every live worker",
        "start a worker without --min-priority and --max-priority, or use dibs jobs reprioritize",
    ),
}  # fmt: skip


# --- Clocks --------------------------------------------------------------------------------


def _clocks(live: list[WorkerRecord], apart: timedelta) -> Iterator[Finding]:
    clocks = [("this machine", apart), *((f"worker {one.id}", one.skew) for one in live)]
    wrong = [(whose, skew) for whose, skew in clocks if abs(skew) > APART]
    if not wrong:
        yield ok(Check.CLOCK, "clocks agree with the database's to a second")
    for whose, skew in wrong[:MOST]:
        way = "ahead of" if skew > timedelta(0) else "behind"
        yield warning(
            Check.CLOCK,
            f"the clock of {whose} is {span(skew)} {way} the database's",
            "keep the machines' clocks in step (NTP); dibs goes by the database's clock alone, but "
            "scheduled_at that is computed elsewhere, and times in logs, are off by that much",
        )
