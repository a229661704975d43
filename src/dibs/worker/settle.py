"""Settle: carry out the ends of jobs, many at once (group commit).

What ends while a flush is under way goes out with the next one, at once and without a timer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from dibs.client.handler import Handler
from dibs.errors import StoreError, StoreUnavailableError
from dibs.model.backoff import Backoff
from dibs.model.job import State
from dibs.model.lifecycle import (
    Bury,
    Failed,
    Finish,
    Outcome,
    Requeue,
    Settlement,
    settle,
)
from dibs.model.retry import retry_from_json
from dibs.model.uses import key_parts
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.ops.claimed import Claimed, Key, key_of
from dibs.store.ops.settle import job_count, job_settle, job_unmoved
from dibs.telemetry import log_event

logger = logging.getLogger("dibs.worker")

BATCH = 100
"""Jobs settled in one transaction, at most."""
LEISURE = 10.0
"""Between two ticks without anything to settle, which show that the loop lives."""
STUCK_SECONDS = 5.0
"""Between two tries to settle what the database refuses in any form."""
LOCKED_SECONDS = 0.25
"""Between two tries to settle a job whose row somebody has locked."""


class Settler(Service):
    """Collects settlements and flushes them; what fails to flush is kept and tried again."""

    name = "settle"

    def __init__(self, store: Store, handlers: Mapping[str, Handler[..., Any]]) -> None:
        """Settle in `store`, by the rules of each handler."""
        super().__init__()
        self._store = store
        self._handlers = handlers
        self._chance = random.Random()
        self._pending: dict[Key, tuple[Claimed, Settlement]] = {}
        self._stuck: dict[Key, tuple[Claimed, Settlement]] = {}
        self._try_at: dict[Key, float] = {}
        # Sent, and never answered: what is found completed later may have been so by that.
        self._doubted: set[Key] = set()
        self.on_ready: Callable[[Collection[str]], None] = lambda _: None
        """Told in which queues others may start, for whom slots came free."""
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, job: Claimed, outcome: Outcome) -> None:
        """Decide where a job goes, and take it there soon."""
        settlement = self._settlement(job, outcome)
        self._pending[key_of(job)] = (job, settlement)
        self._empty.clear()
        self.poke()

    def _settlement(self, job: Claimed, outcome: Outcome) -> Settlement:
        own = None if job.retry is None else retry_from_json(job.retry)
        retry = own or self._handlers[job.kind].retry
        try:
            return settle(job.ticket, outcome, retry, self._chance)
        except Exception as error:
            log_event(
                logger, logging.ERROR, "backoff_failed",
                f"the backoff of {job.kind!r} failed, the default one is used instead: {error}",
                job_id=job.id, kind=job.kind, error_type=type(error).__name__,
            )  # fmt: skip
            return settle(job.ticket, outcome, replace(retry, backoff=Backoff()), self._chance)

    def held(self) -> set[Key]:
        """Return every claim that is still to be settled."""
        return set(self._pending) | set(self._stuck)

    async def emptied(self) -> None:
        """Wait until all is settled."""
        await self._empty.wait()

    async def tick(self) -> float:
        """Flush one batch."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, at in self._try_at.items() if at <= now]:
            del self._try_at[key]
            self._pending[key] = self._stuck.pop(key)
        # One end of each job, for what the database answers is which jobs were moved.
        first: dict[int, Key] = {}
        for key in islice(self._pending, BATCH):
            first.setdefault(key[0], key)
        if batch := [self._pending[key] for key in first.values()]:
            await self._flush(batch)
        if self._pending:
            return 0.0
        if self._stuck:
            now = asyncio.get_running_loop().time()
            return max(min(self._try_at.values()) - now, 0.0)
        self._empty.set()
        return LEISURE

    async def _flush(self, batch: list[tuple[Claimed, Settlement]]) -> None:
        again = {job.queue for job, end in batch if isinstance(end, Requeue)}
        settling = replace(job_settle([end for _, end in batch]), nudges=lambda _: again)
        keys = {key_of(job) for job, _ in batch}
        doubted = self._doubted & keys
        self._doubted |= keys
        try:
            settled = await self._store.arun(settling)
        except StoreUnavailableError:
            raise
        except StoreError as error:
            self._doubted -= keys - doubted
            await self._flush_singly(batch, error)
            return
        if settled.ready:
            self.on_ready(settled.ready)
        for key in settled.unknown:
            _report_unknown(key)
        for job, settlement in batch:
            if job.id in settled.moved:
                del self._pending[key_of(job)]
                _report(job, settlement, cancelled=job.id in settled.cancelled)
        if refused := [(job, end) for job, end in batch if job.id not in settled.moved]:
            await self._sort_out(refused, doubted)
        self._doubted -= keys

    async def _sort_out(self, refused: list[tuple[Claimed, Settlement]], doubted: set[Key]) -> None:
        """Find what became of jobs whose end moved nothing."""
        found = await self._store.arun(job_unmoved([job.id for job, _ in refused]))
        uncounted: list[int] = []
        for job, settlement in refused:
            key = key_of(job)
            if (job.id, job.worker, job.claim) in found.running:
                self._lay_aside(key, LOCKED_SECONDS)
                continue
            completed = (job.id, job.worker, job.started_at) in found.completed
            del self._pending[key]
            _report_refused(job, settlement, completed)
            if completed and key not in doubted:
                uncounted.append(job.id)
        # Last, and never tried again: at worst a figure is lost, and nothing is counted twice.
        if uncounted:
            await self._store.arun(job_count(uncounted))

    async def _flush_singly(
        self, batch: list[tuple[Claimed, Settlement]], error: StoreError
    ) -> None:
        """Find what the database refuses, and fail just that job."""
        if len(batch) > 1:
            for single in batch:
                await self._flush([single])
            return
        job, settlement = batch[0]
        log_event(
            logger, logging.ERROR, "settle_impossible", f"job {job.id} cannot be settled: {error}",
            job_id=job.id, kind=job.kind, wanted=_verb(settlement),
        )  # fmt: skip
        outcome = Failed("StoreError", f"its end could not be stored: {type(error).__name__}")
        try:
            settled = await self._store.arun(job_settle([self._settlement(job, outcome)]))
        except StoreUnavailableError:
            raise
        except StoreError as worse:
            self._lay_aside(key_of(job), STUCK_SECONDS)
            _report_stuck(job, settlement, worse)
            return
        if settled.moved:
            del self._pending[key_of(job)]
        else:
            await self._sort_out(batch, self._doubted)

    def _lay_aside(self, key: Key, seconds: float) -> None:
        """Let the others pass: this one is tried again in a while."""
        self._stuck[key] = self._pending.pop(key)
        self._try_at[key] = asyncio.get_running_loop().time() + seconds


def _verb(settlement: Settlement) -> str:
    if isinstance(settlement, Requeue):
        return settlement.verb
    return "bury" if isinstance(settlement, Bury) else str(settlement.state)


def _report_unknown(key: str) -> None:
    name, _ = key_parts(key)
    log_event(
        logger, logging.WARNING, "limit_unknown",
        f"a handler raised RetryAfter(limit={name!r}), but no limit has this name, so nothing else "
        f"is held up; declare it: app.limits.declare([Limit(name={name!r}, rate=…)])",
        limit=name,
    )  # fmt: skip


def _report_refused(job: Claimed, settlement: Settlement, completed: bool) -> None:
    """Say what became of an end that moved nothing.

    Where this very attempt `completed` the job before, in its handler's own transaction, all is
    well, unless it then failed.
    """
    wanted = _verb(settlement)
    if completed and isinstance(settlement, Finish):
        return
    if completed:
        log_event(
            logger, logging.WARNING, "completed_before",
            f"job {job.id} was completed by its handler before its attempt ended: {wanted}",
            job_id=job.id, kind=job.kind, claim=job.claim, wanted=wanted,
        )  # fmt: skip
        return
    log_event(
        logger, logging.WARNING, "settle_refused",
        f"job {job.id} was taken over by another worker; its late end is refused",
        job_id=job.id, kind=job.kind, claim=job.claim, wanted=wanted,
    )  # fmt: skip


def _report_stuck(job: Claimed, settlement: Settlement, error: StoreError) -> None:
    log_event(
        logger, logging.ERROR, "settle_stuck",
        f"job {job.id} can be settled in no way, trying again in {STUCK_SECONDS:g} s: {error}",
        job_id=job.id, kind=job.kind, wanted=_verb(settlement),
    )  # fmt: skip


def _report(job: Claimed, settlement: Settlement, *, cancelled: bool) -> None:
    if isinstance(settlement, Finish) and settlement.state is State.COMPLETED:
        return
    fields = {"job_id": job.id, "kind": job.kind, "queue": job.queue, "attempt": job.attempt}
    if cancelled and isinstance(settlement, Requeue) and (failure := settlement.failure):
        log_event(
            logger, logging.WARNING, "job_cancelled",
            f"job {job.id} failed, and is not tried again, for somebody has cancelled it: "
            f"{failure.message}",
            error_type=failure.error_type, **fields,
        )  # fmt: skip
    elif isinstance(settlement, Bury):
        log_event(
            logger, logging.ERROR, "job_buried",
            f"job {job.id} was buried ({settlement.reason}): {settlement.failure.message}",
            reason=str(settlement.reason), error_type=settlement.failure.error_type, **fields,
        )  # fmt: skip
    elif isinstance(settlement, Requeue) and settlement.failure is not None:
        seconds = (settlement.delay or 0) / 1_000_000
        log_event(
            logger, logging.WARNING, "job_failed",
            f"job {job.id} failed, trying again in {seconds:.1f} s: {settlement.failure.message}",
            error_type=settlement.failure.error_type, delay=seconds, **fields,
        )  # fmt: skip
    else:
        given_up = "job_snoozed" if _verb(settlement) == "snooze" else "job_released"
        ended = "job_cancelled" if cancelled or isinstance(settlement, Finish) else given_up
        log_event(logger, logging.DEBUG, ended, f"job {job.id}: {ended[4:]}", **fields)
