"""What a queue does, written down once more: dictionaries and sorted lists instead of tables.

The oracle shares no code with the store. It keeps one record per job, live or ended, and says
after every step what each must look like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from dibs.model.job import AttemptOutcome, Job, NewJob, State
from dibs.model.lifecycle import CalledOff, Claim, Failed, Interrupted, Outcome, Returned, Snoozed
from dibs.model.lines import Demand, Serving
from dibs.model.queues import QueuePolicy
from dibs.model.times import SECOND, from_micros
from dibs.store.ops.jobs import Attempt
from dibs.store.ops.workers import WorkerRecord
from tests.model_based.entry import WAITING, Entry, WorkerEntry, in_order
from tests.support.policy_oracle import Owed, effective, next_jobs, ranks

FORGET_AFTER = 3600 * SECOND
RETRY_BASE = 10 * SECOND
"""The delay before the first retry; it doubles each time, and chance has no part in it."""


class Oracle:
    """A queue in memory, as of `now`."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[int, Entry] = {}
        self.workers: dict[str, WorkerEntry] = {}
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.policies: dict[str, QueuePolicy] = {}
        self.pauses: dict[tuple[str, str], int | None] = {}
        self.owed: dict[str, Owed] = {}

    def found(self, *states: State) -> list[Entry]:
        """Return the jobs in any of `states`, in claim order."""
        return sorted((e for e in self.jobs.values() if e.state in states), key=lambda e: e.turn)

    def job(self, entry: Entry) -> Job:
        """Return a job as callers are to see it."""
        job = entry.job()
        if entry.state not in {State.READY, State.BLOCKED}:
            return job
        policy = self.policies.get(entry.queue, QueuePolicy())
        return replace(job, effective_priority=effective(entry.waiting, policy, self.now))

    def line_up(self, queue: str | None, limit: int) -> list[Entry]:
        """Return the ready jobs in the order in which a worker of all queues would take them."""
        waiting = [e.waiting for e in self.found(State.READY) if queue in {None, e.queue}]
        serving = Serving(tuple({job.queue for job in waiting}))
        turns = next_jobs(waiting, serving, Demand(limit), self.policies, self.now, {})
        return [self.jobs[turn.id] for turn in turns]

    def listed(self, state: State, queue: str | None, limit: int) -> list[Entry]:
        """Return the jobs in `state` in the order that lists show them."""
        if state is State.READY:
            return self.line_up(queue, limit)
        found = [entry for entry in self.found(state) if queue in {None, entry.queue}]
        return in_order(found, state)[:limit]

    def configure(
        self, queue: str, declared: QueuePolicy | None, configured: QueuePolicy | None
    ) -> None:
        """Set a queue's policy: what was configured wins over what code declared."""
        policy = declared if configured is None else configured
        self.policies[queue] = policy or QueuePolicy()

    # --- Waiting ---------------------------------------------------------------------------

    def enqueue(self, jobs: Iterable[NewJob]) -> list[Entry]:
        """Store `jobs` under the next ids."""
        return [self._store(job) for job in jobs]

    def _store(self, job: NewJob) -> Entry:
        at = self.now + job.delay if job.scheduled_at is None else job.scheduled_at
        entry = Entry(
            len(self.jobs) + 1, job.kind, job.queue, job.priority, job.args, job.max_attempts,
            at, self.now,
        )  # fmt: skip
        self._wait(entry)
        self.jobs[entry.id] = entry
        return entry

    def _wait(self, entry: Entry) -> None:
        entry.state = State.READY if entry.scheduled_at <= self.now else State.SCHEDULED

    def due(self) -> int | None:
        """Return how long until the next job is due."""
        return min((e.scheduled_at - self.now for e in self.found(State.SCHEDULED)), default=None)

    def promote(self) -> list[Entry]:
        """Make the due jobs ready."""
        due = [e for e in self.found(State.SCHEDULED) if e.scheduled_at <= self.now]
        for entry in due:
            entry.state = State.READY
        return due

    def cancel(self, job_id: int, reason: str | None) -> Entry | None:
        """Cancel a waiting job, or ask to where it runs; return nothing for another."""
        entry = self.jobs[job_id]
        if entry.state is State.RUNNING:
            entry.cancel = reason or entry.cancel or ""
            return entry
        if entry.state not in WAITING:
            return None
        self._end(entry, State.CANCELLED, reason)
        return entry

    def reprioritize(self, job_id: int, priority: int) -> Entry | None:
        """Change the priority of a waiting job; return nothing for another."""
        entry = self.jobs[job_id]
        if entry.state not in WAITING:
            return None
        entry.priority = priority
        return entry

    def reschedule(self, job_id: int, at: int) -> Entry | None:
        """Give a waiting job another time; return nothing for another."""
        entry = self.jobs[job_id]
        if entry.state not in WAITING:
            return None
        entry.scheduled_at = at
        if at > self.now:
            entry.state, entry.reason = State.SCHEDULED, None
        elif entry.state is not State.BLOCKED:
            entry.state = State.READY
        return entry

    # --- Pauses ----------------------------------------------------------------------------

    def pause(self, what: str, name: str, until: int | None) -> None:
        """Pause a queue or a kind."""
        self.pauses[what, name] = until

    def paused(self, what: str) -> set[str]:
        """Return the names of the queues or kinds that are paused now."""
        return {
            name
            for (which, name), until in self.pauses.items()
            if which == what and (until is None or until > self.now)
        }

    # --- Running ---------------------------------------------------------------------------

    def claim(
        self,
        worker: str,
        serving: Serving,
        kinds: Collection[str],
        demand: Demand,
        admit: bool,
    ) -> tuple[list[Entry], list[int], int]:
        """Take the next ready jobs; return them, their ranks, and how many blocked came back."""
        known = set(kinds) - self.paused("kind")
        blocked = [e for e in self.found(State.BLOCKED) if e.kind in known]
        admitted = [e for e in blocked if serving.serves(e.queue, e.priority)] if admit else []
        for entry in admitted[: demand.count]:
            entry.state, entry.reason = State.READY, None
        paused = self.paused("queue")
        waiting = [e.waiting for e in self.found(State.READY) if e.queue not in paused]
        owed = self.owed.setdefault(worker, {})
        turns = next_jobs(waiting, serving, demand, self.policies, self.now, owed)
        taken = [self.jobs[turn.id] for turn in turns]
        for entry in taken:
            if entry.kind in known:
                entry.state, entry.worker, entry.started_at = State.RUNNING, worker, self.now
                entry.number += 1
                entry.attempt += 1
            else:
                entry.state, entry.reason = State.BLOCKED, f"kind:{entry.kind}"
        return taken, ranks(turns, serving, self.policies, self.now), len(admitted[: demand.count])

    def settle(self, claim: Claim, outcome: Outcome) -> bool:
        """End an attempt; return whether its claim still held."""
        entry = self.jobs[claim.job_id]
        if entry.state is not State.RUNNING or entry.claim != claim:
            return False
        match outcome:
            case Returned(result):
                entry.result = result
                self._end(entry, State.COMPLETED, None)
            case CalledOff(reason):
                self._end(entry, State.CANCELLED, reason or entry.cancel or None)
            case Failed():
                self._fail(entry, outcome)
            case Snoozed() | Interrupted() if entry.cancel is not None:
                self._end(entry, State.CANCELLED, entry.cancel or None)
            case Snoozed(delay):
                self._record(entry, "snoozed")
                entry.attempt -= 1
                self._again(entry, delay)
            case Interrupted(began):
                if began:
                    self._record(entry, "released")
                entry.attempt -= 1
                self._again(entry, None)
        return True

    def _fail(self, entry: Entry, failure: Failed) -> None:
        record = "timed_out" if failure.timed_out else "failed"
        if failure.final is not None or entry.attempt >= entry.max_attempts:
            exhausted = "timeout" if failure.timed_out else "attempts_exhausted"
            self._bury(entry, str(failure.final or exhausted), failure, record)
            return
        if entry.cancel is not None:
            self._end(entry, State.CANCELLED, entry.cancel or None)
            return
        self._record(entry, record, failure)
        self.outcomes[entry.queue, entry.kind, "failed"] += 1
        backoff = RETRY_BASE * 2 ** (entry.attempt - 1)
        self._again(entry, backoff if failure.retry_after is None else failure.retry_after)

    def _again(self, entry: Entry, delay: int | None) -> None:
        entry.started_at = entry.worker = None
        if delay is not None:
            entry.scheduled_at = self.now + delay
        self._wait(entry)

    def _bury(self, entry: Entry, reason: str, failure: Failed, record: str) -> None:
        self._record(entry, record, failure)
        self._end(entry, State.DEAD, reason)

    def _record(self, entry: Entry, outcome: str, failure: Failed | None = None) -> None:
        assert entry.worker is not None
        assert entry.started_at is not None
        error: tuple[str, ...] = ()
        if failure is not None:
            entry.error = failure.message
            error = (failure.error_type, failure.message, failure.traceback)
        entry.attempts.append(
            Attempt(
                entry.attempt, AttemptOutcome(outcome), entry.worker,
                from_micros(entry.started_at), from_micros(self.now), *error,
            )
        )  # fmt: skip

    def _end(self, entry: Entry, state: State, reason: str | None) -> None:
        entry.state, entry.reason, entry.finished_at = state, reason, self.now
        entry.cancel = None
        self.outcomes[entry.queue, entry.kind, str(state)] += 1

    # --- Workers ---------------------------------------------------------------------------

    def beat(
        self,
        worker: str,
        queues: list[str],
        kinds: list[str],
        slots: int,
        reserve: Mapping[int, int],
        lease: int,
    ) -> None:
        """Keep a worker alive; the first beat registers it, and one after a silence helps all."""
        moment = from_micros(self.now)
        if not self._heard(lease):
            holders = {entry.worker for entry in self.found(State.RUNNING)}
            for name in holders & self.workers.keys():
                other = self.workers[name]
                if other.expires_at <= other.beat_at + lease:
                    until = self.now + lease
                    record = replace(other.record, expires_at=from_micros(until))
                    self.workers[name] = replace(other, record=record, expires_at=until)
        old = self.workers.get(worker)
        new = WorkerRecord(
            worker, tuple(queues), -32768, 32767, tuple(kinds), slots, reserve, 0, moment,
            moment, from_micros(self.now + lease),
        )  # fmt: skip
        if old:
            new = replace(old.record, beat_at=moment, expires_at=new.expires_at)
        self.workers[worker] = WorkerEntry(new, self.now, self.now + lease)

    def _heard(self, lease: int) -> bool:
        """Return whether anybody was heard of in the last two thirds of a lease."""
        since = self.now - lease * 2 // 3
        return any(since <= e.beat_at <= self.now for e in self.workers.values())

    def alive(self) -> dict[str, WorkerRecord]:
        """Return the workers with a lease."""
        return {w: e.record for w, e in self.workers.items() if e.expires_at >= self.now}

    def rescue(self, max_crashes: int, lease: int) -> list[Entry]:
        """Take the jobs of lost workers back."""
        if not self._heard(lease):
            return []
        self.workers = {
            w: e for w, e in self.workers.items() if e.expires_at >= self.now - FORGET_AFTER
        }
        lost = [e for e in self.found(State.RUNNING) if e.worker not in self.alive()]
        for entry in lost:
            if entry.cancel is not None and entry.crashes + 1 < max_crashes:
                self._end(entry, State.CANCELLED, entry.cancel or None)
                continue
            entry.crashes += 1
            if entry.crashes < max_crashes:
                self._record(entry, "crashed")
                entry.attempt -= 1
                self._again(entry, None)
            else:
                message = f"its worker died {entry.crashes} times while running it"
                self._bury(entry, "worker_died", Failed("WorkerDied", message), "crashed")
                entry.attempt -= 1
        return lost
