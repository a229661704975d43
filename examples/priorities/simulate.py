"""What would happen, with the policy that real workers follow and no database.

The workers claim whenever a slot comes free or a job comes in, one for each free slot: jobs of
seconds are never claimed ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import islice

from dibs.model.lines import Line
from dibs.model.ordering import Credit, order
from dibs.model.slots import Slots

from .choices import QUEUE, Choice, Crew
from .flood import END, Job


class _Worker:
    """Claims and runs jobs, as `dibs.worker` does."""

    def __init__(self, crew: Crew) -> None:
        self.serving = crew.serving
        self.slots = Slots(crew.slots, crew.reserve)
        self.credit: Credit = {}


def run(choice: Choice, jobs: Sequence[Job]) -> list[int | None]:
    """Return how long each job waits, in microseconds; None if it has not started at the end."""
    policies = {QUEUE: choice.policy}
    workers = [_Worker(crew) for crew in choice.crews]
    lines: dict[int, deque[tuple[int, int]]] = {}
    running: list[tuple[int, int, int]] = []  # (end, priority, worker's number)
    waited: list[int | None] = [None] * len(jobs)

    def claim(now: int) -> None:
        for number, worker in enumerate(workers):
            if not worker.slots.free:
                continue
            demand = worker.slots.demand(worker.slots.free, 0, ())
            ready = [
                Line(QUEUE, priority, list(islice(line, demand.count)))
                for priority, line in lines.items()
                if line
            ]
            for turn in order(ready, worker.serving, demand, policies, now, worker.credit):
                lines[turn.priority].popleft()
                worker.slots.take(turn.priority)
                waited[turn.job_id] = now - turn.scheduled_at
                heappush(running, (now + jobs[turn.job_id].takes, turn.priority, number))

    def work(until: int) -> None:
        while running and running[0][0] <= until:
            now, priority, number = heappop(running)
            workers[number].slots.leave(priority)
            claim(now)

    for job_id, job in enumerate(jobs):
        work(job.scheduled_at)
        lines.setdefault(job.priority, deque()).append((job.scheduled_at, job_id))
        claim(job.scheduled_at)
    work(END)
    return waited
