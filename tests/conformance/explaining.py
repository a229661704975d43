"""A queue at a time that a test moves, whose jobs are explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dibs import Explanation, Job
from dibs.insights import to_json
from dibs.model.job import PRIORITY_MAX, PRIORITY_MIN
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.store.ops.claim import job_claim
from dibs.store.ops.workers import worker_beat
from tests.conformance.face import Face

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LEASE = 30_000_000


class Shop:
    """A queue at a time that a test moves, and workers that live by their heartbeats alone."""

    def __init__(self, new_face: Callable[..., Face], url: str) -> None:
        self.now = NOON
        self.url = url
        self.face = new_face(clock=lambda: self.now)
        self.face.migrate()
        self.kinds = {kind: self.face.handler(note, kind=kind) for kind in ("note", "other")}

    def add(
        self, priority: int = 0, *, waited: float = 0, queue: str = "mail", kind: str = "note"
    ) -> Job:
        """Enqueue a job that is due since so many seconds, or in as many where they are fewer."""
        due = self.now - timedelta(seconds=waited)
        using = self.kinds[kind].using(priority=priority, scheduled_at=due, queue=queue)
        job: Job = using.enqueue()
        return job

    def policy(self, policy: QueuePolicy, queue: str = "mail") -> None:
        self.face.queues.configure(queue, aging=policy.aging, weights=policy.weights)

    def worker(
        self,
        name: str = "w",
        queues: Iterable[str] = ("mail",),
        kinds: Iterable[str] = ("note",),
        *,
        lowest: int = PRIORITY_MIN,
        highest: int = PRIORITY_MAX,
        slots: int = 2,
        reserve: Mapping[int, int] | None = None,
        lease: int = LEASE,
    ) -> None:
        serving = Serving(tuple(queues), lowest=lowest, highest=highest)
        self.do(worker_beat(name, serving, list(kinds), slots, reserve or {}, lease))

    def claim(self, count: int, worker: str = "w", kinds: Iterable[str] = ("note",)) -> None:
        self.do(job_claim(worker, Serving(("mail",)), list(kinds), Demand(count)))

    def do(self, operation: Any) -> Any:
        return self.face.target.store.run(operation)

    def explain(self, job: Job, **options: Any) -> Explanation:
        found: Explanation = self.face.jobs.explain(job.id, **options)
        assert json.loads(json.dumps(to_json(found)))["job"]["id"] == job.id
        assert str(found) == "\n".join(found.sentences)
        assert found.sentences[0].startswith(f"Job {job.id} ({job.kind}, queue {job.queue}) ")
        return found


def note() -> None: ...
