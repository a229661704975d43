"""Fetch: claim jobs whenever there is room for them, in the order of the queues' policies."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from random import Random

from dibs.model.job import PRIORITY_MIN
from dibs.model.lifecycle import Interrupted, settle
from dibs.model.lines import Demand, Serving
from dibs.model.marks import Mark, Marks, heads_of
from dibs.model.ordering import Credit
from dibs.model.prefetch import OVERDUE
from dibs.model.retry import Retry
from dibs.services.base import Service
from dibs.store import Store
from dibs.store.base import Watch
from dibs.store.ops.claim import Found, job_claim, job_set_aside
from dibs.store.ops.claimed import Claimed, Key
from dibs.store.ops.settle import job_settle
from dibs.store.ops.workers import job_held
from dibs.telemetry import log_event
from dibs.worker.dispatch import Dispatcher
from dibs.worker.turns import Turns

logger = logging.getLogger("dibs.worker")

BATCH = 100
"""Jobs claimed in one transaction, at most."""
ADMIT_SECONDS = 1.0
"""Between two looks for blocked jobs of kinds that this worker knows."""
RECOVER_SECONDS = 15.0
"""Between two looks for claims that this worker holds and does not know of."""
VAIN = 5
"""Nudges in a row that brought nothing, after which a worker looks less often."""
VAIN_SECONDS = 0.01
"""Between two of these looks."""
CONTENDED_SECONDS = 0.005
"""Pause after a claim all of whose jobs others took first."""
REPORT_SECONDS = 60.0
"""Between two reports of the same unknown kind."""


class Fetcher(Service):
    """Claims for one worker; poked by nudges and by room in the dispatcher."""

    name = "fetch"

    def __init__(
        self,
        store: Store,
        worker: str,
        serving: Serving,
        kinds: list[str],
        dispatcher: Dispatcher,
        settling: Callable[[], set[Key]],
        turns: Turns,
        holds: Callable[[], bool],
        poll: float,
    ) -> None:
        """Claim jobs of `serving` and `kinds` for `worker`.

        Args:
            store: where to claim.
            worker: its id.
            serving: which lines it serves.
            kinds: what it can run.
            dispatcher: takes what was claimed.
            settling: the claims that are still to be settled.
            turns: makes ready what waits for its turn.
            holds: whether the worker has its lease.
            poll: seconds between two looks where no nudge comes.
        """
        super().__init__()
        self._store = store
        self._worker = worker
        self._serving = serving
        self._credit: Credit = {}
        self._lines = 0
        self._limited = False
        """Whether the last claim that took any came upon jobs with limits."""
        self._nudged = False
        self._vain = 0
        self._looked = float("-inf")
        self._marks = Marks()
        self._kinds = kinds
        self._dispatcher = dispatcher
        self._settling = settling
        self._turns = turns
        self._holds = holds
        self._poll = poll
        self._watch: Watch | None = None
        self._claiming = False
        self._admitted = self._recovered = float("-inf")
        self._reported: dict[str, float] = {}
        self._question: asyncio.Future[bool] | None = None
        self._dry = False
        """Whether the last claim left nothing that this worker could take."""
        self._untold: set[str] = set()
        """Queues in which more is ready, of which no other worker was told."""

    def follow(self, watch: Watch) -> None:
        """Tell `watch` from now on whether the worker is idle."""
        self._watch = watch

    def nudge(self) -> None:
        """Look at once: something may have come in."""
        self._marks.tell()
        self._nudged = True
        self.poke()

    def resumed(self) -> None:
        """Look at once, also for blocked jobs: a queue or a kind is paused no more."""
        self._admitted = float("-inf")
        self.nudge()

    def readied(self, queues: Collection[str]) -> None:
        """Look at once at the front of `queues`: jobs that waited for their turn are ready."""
        self._marks.forget(queues)
        self.nudge()

    def offer(self, queues: Collection[str]) -> None:
        """Look first at what became ready in `queues`; others are told of what this one leaves."""
        self._untold.update(queues)
        if self._closed or not self._untold.issubset(self._serving.queues):
            self._tell_all()
        self.readied(queues)

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, set()
        self._store.nudge(untold)

    def room(self) -> None:
        """Look at once, for there is room for more, unless nothing was left when it last looked."""
        if not self._dry:
            self.poke()

    def close(self) -> None:
        """End the loop after the claim that is under way."""
        super().close()
        self._tell_all()

    def ask(self) -> asyncio.Future[bool]:
        """Have a claim that starts from now on tell whether nothing was held and none found.

        A claim that is under way does not count: it may have looked before the last settlement.
        """
        self._question = asyncio.get_running_loop().create_future()
        self.poke()
        return self._question

    async def tick(self) -> float:
        """Claim once, as much as there is room for."""
        if (early := self._too_early()) > 0:
            return early
        self._dispatcher.give_back_overdue()
        now = asyncio.get_running_loop().time()
        if self._claiming or now - self._recovered >= RECOVER_SECONDS:
            await self._recover()
            self._recovered = now
        demand = self._dispatcher.demand(BATCH)
        # What a worker claims whose lease has run out would be taken from it at once.
        if demand is None or not self._holds():
            self._dry = False
            self._tell_all()
            return self._pause()
        question = self._question
        quiet = question is not None and self._dispatcher.idle and not self._settling()
        admit = question is not None or now - self._admitted >= ADMIT_SECONDS
        if question is not None:
            await self._turns.tend()
            await self._turns.catch_up()
        await self._turns.fill(demand.count)
        # What is offered from here on, this claim may not see. One that fails tells nobody: others
        # find it when they poll.
        offered, self._untold = self._untold, set()
        found = await self._claim(demand, now, admit=admit)
        left = demand.after(found.turns)
        waiting = left.count > 0
        unseen = self._marks.note(found.turns, dry=waiting, lowest=left.lowest)
        # Where only the urgent are wanted, others may wait, and every commit would say so.
        all_seen = waiting and left.lowest == PRIORITY_MIN
        if self._watch is not None:
            self._watch.idle(all_seen)
        self._dry = all_seen and not found.full and not unseen
        if not self._dry or not self._serving.whole:
            self._store.nudge(offered)
        if question is not None:
            self._question = None
            if not question.cancelled():
                question.set_result(quiet and not found.turns and not unseen)
        if waiting and not found.full:
            return 0.0 if unseen else self._pause()
        # Others took what stood there: they are quicker, so let them be.
        return 0.0 if found.jobs or found.waits or found.full else CONTENDED_SECONDS

    async def _claim(self, demand: Demand, now: float, *, admit: bool) -> Found:
        """Claim, and hand on what may run."""
        self._claiming = True
        claim = job_claim(
            self._worker, self._serving, self._kinds, demand, self._credit, self._marks.use(now),
            admit=admit, heads=heads_of(demand.count, self._lines), limited=self._limited,
        )  # fmt: skip
        found = await self._store.arun(claim)
        self._claiming = False
        if found.turns:
            self._limited = found.limited
        if found.waits:
            self._turns.poke()  # when they may start is another time than it was
        self._credit, self._lines = found.credit, found.lines
        if admit:
            self._admitted = now if found.admitted < demand.count else float("-inf")
        self._take(found.jobs, now)
        if behind := _behind(found.jobs):
            await self._store.arun(job_set_aside(self._kinds, behind))
        self._looked = now
        self._vain = 0 if found.turns else self._vain + self._nudged
        self._nudged = False
        return found

    def _too_early(self) -> float:
        """Return for how long not to look again, where nudge after nudge was for others.

        A queue tells all its workers of every job, also those whose range or slots are for others.
        """
        if self._vain < VAIN or self._question is not None:
            return 0.0
        return self._looked + VAIN_SECONDS - asyncio.get_running_loop().time()

    def _pause(self) -> float:
        pause = self._poll * random.uniform(0.75, 1.25)  # so that workers don't poll in step
        # What waits behind slow jobs must be noticed, however rarely the worker polls.
        return min(pause, OVERDUE) if self._dispatcher.waiting else pause

    def _take(self, found: list[Claimed], now: float) -> None:
        jobs = [job for job in found if job.claim is not None]
        if jobs:
            self._dispatcher.add(jobs)
        if len(jobs) < len(found):
            left = (job for job in found if job.claim is None and job.kind not in self._kinds)
            self._report(Counter((job.kind, job.queue) for job in left), now)

    def _report(self, blocked: Counter[tuple[str, str]], now: float) -> None:
        for (kind, queue), count in blocked.items():
            if now - self._reported.get(kind, float("-inf")) < REPORT_SECONDS:
                continue
            self._reported[kind] = now
            log_event(
                logger, logging.WARNING, "kind_unknown",
                f"jobs of kind {kind!r} are left for a worker that knows it: this one has no "
                "such handler",
                kind=kind, queue=queue, blocked=count,
            )  # fmt: skip

    async def _recover(self) -> None:
        """Give back what a claim took whose answer never came.

        The database may have committed a claim before the connection broke; nobody would run
        its jobs, and nobody would rescue them, since this worker lives. It may even receive the
        claim after that, when the network heals: so looking once is not enough.
        """
        known = self._dispatcher.held() | self._settling()
        held = await self._store.arun(job_held(self._worker))
        lost = [claim for claim in held if (claim.job_id, claim.number) not in known]
        if lost:
            chance, retry = Random(), Retry()
            back = [settle(claim, Interrupted(), retry, chance) for claim in lost]
            await self._store.arun(job_settle(back))
        self._claiming = False


def _behind(found: Iterable[Claimed]) -> list[Mark]:
    """Return where others like those stand that a claim has blocked, one place in each line."""
    places: dict[tuple[str, int], Mark] = {}
    for job in found:
        if job.claim is None:
            line = (job.queue, job.priority)
            places[line] = Mark(*line, job.scheduled_at, job.id)
    return list(places.values())
