"""Storing jobs that hold keys: at most one job to a key, by the word of a primary key.

The steps, in the one transaction of the enqueue: take the keys, store the jobs that got theirs,
and write down who holds what. A key that another job holds is not locked, for the enqueue may sit
in a caller's transaction for minutes. One that another enqueue is about to take is waited for,
until that transaction ends.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dibs.errors import DuplicateJobError, JobNotFoundError, StoreUnavailableError
from dibs.model.duplicates import Again, Fate, Fresh, Known, fates
from dibs.model.job import WAITING, Job, NewJob
from dibs.model.unique import JobKey, OnConflict
from dibs.store.ops.enqueue import CHUNK, COLUMNS, Stored, job_enqueue, row_of
from dibs.store.ops.jobs import job_get
from dibs.store.statement import Row, RowList, Rows, Statement, Steps, operation

T = TypeVar("T")

TRIES = 10
"""How often to look when keys are freed and taken while the enqueue looks."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of one job of an enqueue."""

    id: int
    """Its id, or that of the job that holds its key."""
    stored: Stored | None = None
    """What the database decided, where it is new."""
    key: str = ""
    """The key that another job holds, where it is not."""
    skipped: bool = False
    """Whether it was to be left out where another job holds its key."""


@operation()
def job_enqueue_keyed(jobs: Sequence[NewJob]) -> Steps[list[Placed]]:
    """Store `jobs`, all or none, unless others hold their keys; say what became of each.

    Raises:
        DuplicateJobError: another job holds a key, and is to be replaced and can't be, or is not
            to be returned.
        StoreUnavailableError: keys were freed and taken again and again meanwhile.
    """
    # In one order, whatever the order of the jobs: two enqueues never wait for each other.
    wanted = sorted({key.text for job in jobs for key in job.keys})
    won: set[str] = set()
    for _ in range(TRIES):
        holders = yield from _take(wanted, won)
        found = fates(jobs, holders)
        yield from _refuse(found)
        if (yield from _replace(found)):
            for keys in _chunks(won - {key.text for fate in found for key in _keys(fate)}):
                yield Statement("key_release", {"keys": keys})
            return (yield from _store(found))
    raise _unstable(wanted[0])


def _take(wanted: Sequence[str], won: set[str]) -> Generator[Statement, RowList, dict[str, int]]:
    """Take the wanted keys that are free, add them to those `won`; return who holds the others."""
    for _ in range(TRIES):
        for keys in _chunks(key for key in wanted if key not in won):
            won.update(row[0] for row in (yield Statement("key_take", {"keys": keys})))
        lost = [key for key in wanted if key not in won]
        rows: RowList = []
        for keys in _chunks(lost):
            rows += yield Statement("key_holders", {"keys": keys})
        held = {key: job_id for key, job_id, over in rows if not over}
        if len(held) == len(lost):
            return held
        for keys in _chunks(key for key, _, over in rows if over):
            yield Statement("key_expire", {"keys": keys})
    raise _unstable(lost[0])


def _refuse(found: Sequence[Fate]) -> Generator[Statement, RowList, None]:
    for fate in found:
        if isinstance(fate, Fresh) or fate.key.on_conflict is not OnConflict.RAISE:
            continue
        if isinstance(fate, Again):
            raise DuplicateJobError(fate.key.text, None, "new", "enqueue it once")
        job = yield from _holder(fate)
        advice = "wait for its end, or let the enqueue return it: on_conflict='return'"
        raise DuplicateJobError(fate.key.text, job.id, job.state, advice)


def _replace(found: Sequence[Fate]) -> Generator[Statement, RowList, bool]:
    """Replace the waiting jobs that are to be; return whether all still held their keys.

    Raises:
        DuplicateJobError: one holds its key and does not wait.
    """
    # The last one counts, where several jobs of an enqueue replace the same one.
    wanted = {
        fate.holder: fate
        for fate in found
        if isinstance(fate, Known) and fate.key.on_conflict is OnConflict.REPLACE
    }
    moved: set[int] = set()
    for ids in _chunks(sorted(wanted)):
        table = Rows(("job_id", *COLUMNS), [(id_, *row_of(wanted[id_].job)) for id_ in ids])
        moved.update(row[0] for row in (yield Statement("job_replace", {"jobs": table})))
    for id_ in wanted.keys() - moved:
        yield from _held_still(wanted[id_])
    return wanted.keys() <= moved


def _held_still(fate: Known) -> Generator[Statement, RowList, None]:
    """Return where a job that was not replaced has lost its key meanwhile.

    Raises:
        DuplicateJobError: it holds its key, and does not wait.
    """
    rows = yield Statement("key_holders", {"keys": [fate.key.text]})
    if not any(job_id == fate.holder and not over for _, job_id, over in rows):
        return
    job = yield from _holder(fate)
    if job.state not in WAITING:
        advice = "only a job that waits can be replaced; wait for its end"
        raise DuplicateJobError(fate.key.text, job.id, job.state, advice)


def _holder(fate: Known) -> Generator[Statement, RowList, Job]:
    return (yield from key_holder(fate.holder, fate.key.text).steps())


@operation(reads=True)
def key_holder(job_id: int, key: str) -> Steps[Job]:
    """Return the job that holds a key for a time.

    Raises:
        DuplicateJobError: its record is gone, but the time is not over.
    """
    try:
        return (yield from job_get(job_id).steps())
    except JobNotFoundError:
        advice = "its record is gone; another key, or a later enqueue, makes a new job"
        raise DuplicateJobError(key, job_id, "ended", advice) from None


def _store(found: Sequence[Fate]) -> Generator[Statement, RowList, list[Placed]]:
    """Store the jobs that got their keys, and write down who holds what."""
    fresh = [fate.job for fate in found if isinstance(fate, Fresh)]
    news = iter((yield from job_enqueue(fresh).steps()) if fresh else ())
    placed: list[Placed] = []
    rows: list[Row] = []
    for fate in found:
        if isinstance(fate, Fresh):
            stored = next(news)
            placed.append(Placed(stored.id, stored))
        else:
            id_ = fate.holder if isinstance(fate, Known) else placed[fate.first].id
            skipped = fate.key.on_conflict is OnConflict.SKIP
            placed.append(Placed(id_, None, fate.key.text, skipped))
        rows += [(key.text, placed[-1].id, str(key.during), key.period) for key in _keys(fate)]
    for chunk in _chunks(rows):
        table = Rows(("key", "job_id", "during", "period"), chunk)
        yield Statement("key_assign", {"rows": table})
    return placed


def _keys(fate: Fate) -> tuple[JobKey, ...]:
    return () if isinstance(fate, Again) else fate.keys


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    items = list(values)
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _unstable(key: str) -> StoreUnavailableError:
    return StoreUnavailableError(f"the key {key!r} was freed and taken again and again; try again")
