"""The tap: have the worker of this process tell what it claims, settles and rescues.

It stands between the worker and its store, and writes an event down when the commit was
acknowledged and before the worker hears of it. So no handler runs under a claim that was not told;
and of what a killed process did, only the last operation of each of its loops can be missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from dibs.errors import DibsError
from dibs.model.lifecycle import Bury, Finish, Settlement
from dibs.store.ops.claim import Found
from dibs.store.ops.settle import Settled
from dibs.store.postgres import PostgresStore
from dibs.store.sqlite import SqliteStore
from dibs.store.statement import Operation
from tests.support.history.events import Event, What
from tests.support.history.log import Log, now

TOLD = frozenset({"job_claim", "job_settle", "job_rescue"})
ARun = Callable[[Any, Operation[Any]], Awaitable[Any]]


def tap(log: Log) -> None:
    """Have all stores of this process tell, from now on."""
    worker = ""

    def tapped(arun: ARun) -> ARun:
        async def told(store: Any, operation: Operation[Any]) -> Any:
            nonlocal worker
            if operation.name not in TOLD:
                return await arun(store, operation)
            argument = operation.steps.args[0]  # type: ignore[attr-defined]
            if operation.name == "job_claim":
                worker = argument
            asked = now()
            try:
                result = await arun(store, operation)
            except DibsError:
                log.tell(_doubts(operation.name, argument, worker, asked))
                raise
            log.tell(_TELL[operation.name](argument, result, worker, asked))
            return result

        return told

    for store in (SqliteStore, PostgresStore):
        store.arun = tapped(store.arun)  # type: ignore[method-assign, assignment]


def _claimed(worker: str, found: Found, _: str, asked: int) -> Iterator[Event]:
    at = now()
    for job in found.jobs:
        if job.claim is not None:
            yield Event(
                What.CLAIMED, at, asked, job.id, job.claim, job.attempt or 0, worker,
                line=f"{job.queue}/{job.priority}", due=job.scheduled_at,
            )  # fmt: skip


def _settled(
    settlements: list[Settlement], settled: Settled, worker: str, asked: int
) -> Iterator[Event]:
    # A worker that lost a claim and got the same job again may settle both at once. The answer
    # names the job alone: it was moved under the claim that is valid, which is the last one.
    last: dict[int, int] = {}
    for end in settlements:
        last[end.claim.job_id] = max(end.claim.number, last.get(end.claim.job_id, 0))
    for end in settlements:
        valid = end.claim.job_id in settled.moved and end.claim.number == last[end.claim.job_id]
        if valid:
            yield _settlement(What.SETTLED, settled.became(end), worker, asked)
        else:
            yield _settlement(What.REFUSED, end, worker, asked)


def _rescued(_: int, rescued: list[Settlement], worker: str, asked: int) -> Iterator[Event]:
    for end in rescued:
        yield _settlement(What.RESCUED, end, end.claim.worker, asked)


def _doubts(name: str, argument: Any, worker: str, asked: int) -> Iterator[Event]:
    if name == "job_settle":
        for end in argument:
            yield _settlement(What.DOUBTFUL, end, worker, asked)
    else:
        yield Event(What.DOUBTFUL, now(), asked, worker=worker, to=name)


def _settlement(what: What, end: Settlement, worker: str, asked: int) -> Event:
    claim = end.claim
    return Event(what, now(), asked, claim.job_id, claim.number, claim.attempt, worker, _to(end))


def _to(end: Settlement) -> str:
    if isinstance(end, Finish):
        return str(end.state)
    return "dead" if isinstance(end, Bury) else end.verb


_TELL: dict[str, Callable[..., Iterator[Event]]] = {
    "job_claim": _claimed,
    "job_settle": _settled,
    "job_rescue": _rescued,
}
