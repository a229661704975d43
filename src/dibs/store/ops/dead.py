"""Dead letters: finding them, noting on them, and replaying or purging many in one statement."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from dibs.errors import DibsError, JobNotFoundError, JobStateError
from dibs.model.dead import DeadFilter, DeadLetter, Note, Refused, refused_for_key
from dibs.model.job import DeadReason, Job, State
from dibs.model.times import from_micros, to_micros
from dibs.store.ops.jobs import moment, read_job, read_jobs
from dibs.store.statement import Row, RowList, Statement, Steps, operation

BATCH = 1000
"""Dead letters per transaction."""
EVER = 2**63 - 1
"""Later than any moment, in microseconds."""
ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

Cursor = tuple[int, int]
"""When a letter died, and its id: what stands behind it in this order comes next."""
BEGIN: Cursor = (-EVER, 0)
END: Cursor = (EVER, EVER)


def cursor_of(letter: DeadLetter) -> Cursor:
    """Return where a list goes on behind `letter`."""
    return to_micros(letter.died_at), letter.job.id


@dataclass(frozen=True, slots=True)
class Page:
    """Letters that were looked at."""

    ids: list[int]
    """Those that match, the oldest first."""
    cursor: Cursor
    """Where the next page begins."""
    last: bool
    """Whether there are no more behind it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one batch."""

    ids: list[int]
    """With which it was done."""
    refused: tuple[Refused, ...]
    queues: frozenset[str] = frozenset()
    """Where jobs were replayed."""


# --- Reading --------------------------------------------------------------------------------


def _times(chosen: DeadFilter) -> tuple[int, int]:
    """Return from when on, and before when, the letters died that are meant."""
    after, before = chosen.died_after, chosen.died_before
    return (
        -EVER if after is None else to_micros(after, "died_after"),
        EVER if before is None else to_micros(before, "died_before"),
    )


def _params(chosen: DeadFilter) -> dict[str, Any]:
    return {
        "kind": chosen.kind,
        "queue": chosen.queue,
        "reason": None if chosen.reason is None else str(chosen.reason),
        "error": None if chosen.error is None else chosen.error.translate(ASCII_LOWER),
        "reviewed": None if chosen.reviewed is None else int(chosen.reviewed),
    }


@operation(reads=True)
def dead_list(chosen: DeadFilter, limit: int, before: Cursor = END) -> Steps[list[DeadLetter]]:
    """Return up to `limit` dead letters that match, the latest first, from behind `before`."""
    earliest, end = _times(chosen)
    at, id_ = min(before, (end, 0))
    place = {"before_at": at, "before_id": id_, "died_after": earliest, "limit": limit}
    rows = yield Statement("dead_page", _params(chosen) | place)
    ids = [row[0] for row in rows]
    jobs = yield from read_jobs(ids)
    notes = yield from _notes(ids)
    found = [(jobs[row[0]], notes[row[0]], row) for row in rows if row[0] in jobs]
    return [_letter(*letter) for letter in found if letter[0].state is State.DEAD]


@operation(reads=True)
def dead_count(chosen: DeadFilter) -> Steps[int]:
    """Return how many dead letters match."""
    earliest, end = _times(chosen)
    times = {"died_after": earliest, "died_before": end}
    count: int = (yield Statement("dead_count", _params(chosen) | times, alone=True))[0][0]
    return count


@operation(reads=True)
def dead_get(job_id: int) -> Steps[DeadLetter]:
    """Return one dead letter.

    Raises:
        JobNotFoundError: no job has this id.
        JobStateError: the job is not dead.
    """
    return (yield from _read(job_id, "read the dead letter of"))


def _read(job_id: int, verb: str) -> Generator[Statement, RowList, DeadLetter]:
    rows = yield Statement("dead_get", {"id": job_id})
    job = yield from read_job(job_id)
    if job.state is not State.DEAD or not rows:
        raise not_dead(job, verb)
    notes = yield from _notes([job_id])
    return _letter(job, notes[job_id], rows[0])


def not_dead(job: Job, verb: str) -> JobStateError:
    """Return the error for a job that is no dead letter."""
    return JobStateError(job.id, job.state, verb, "dead")


def _notes(ids: list[int]) -> Generator[Statement, RowList, dict[int, list[Note]]]:
    notes: dict[int, list[Note]] = {id_: [] for id_ in ids}
    for id_, at, author, text in (yield Statement("dead_notes", {"ids": ids})):
        notes[id_].append(Note(from_micros(at), author, text))
    return notes


def _letter(job: Job, notes: list[Note], row: Row) -> DeadLetter:
    _, reason, died_at, reviewed_at, reviewed_by = row
    return DeadLetter(
        job, DeadReason(reason), from_micros(died_at), moment(reviewed_at), reviewed_by, notes
    )


@operation(reads=True)
def dead_latest() -> Steps[tuple[int, int]]:
    """Return when the latest letter died, or what is before all time without one, and the time."""
    latest, now = (yield Statement("dead_latest", {}, alone=True))[0]
    return -EVER if latest is None else latest, now


@operation(reads=True)
def dead_find(chosen: DeadFilter, after: Cursor, until: int) -> Steps[Page]:
    """Look at the next letters behind `after` that died until `until`, and return what matches.

    It looks at the same number of letters, whatever matches.
    """
    earliest, before = _times(chosen)
    at, id_ = max(after, (earliest, 0))
    place = {"after_at": at, "after_id": id_, "until": min(until, before - 1), "count": BATCH}
    rows = yield Statement("dead_find", _params(chosen) | place, alone=True)
    ids = [job_id for _, job_id, matches in rows if matches]
    return Page(ids, rows[-1][:2] if rows else after, len(rows) < BATCH)


# --- Changing -------------------------------------------------------------------------------


@operation()
def dead_annotate(job_id: int, note: str, author: str | None) -> Steps[DeadLetter]:
    """Add a note to a dead letter and return the letter.

    Raises:
        JobNotFoundError: no job has this id.
        JobStateError: the job is not dead.
    """
    yield Statement("dead_annotate", {"id": job_id, "note": note, "author": author})
    return (yield from _read(job_id, "annotate"))


@operation()
def dead_review(
    ids: list[int], until: int | None, *, reviewed: bool, author: str | None, note: str | None
) -> Steps[Changed]:
    """Mark a batch of letters as reviewed, or as not reviewed, and add a note to each.

    Args:
        ids: which ones.
        until: only those that died until then: others died again since they were looked for;
            None where they were named one by one, and the others shall be told of.
        reviewed: which of both.
        author: who did it.
        note: added to each, unless None.
    """
    mark = {"reviewed": int(reviewed), "author": author, "note": note}
    rows = yield Statement("dead_review", _chosen(ids, until) | mark)
    return (yield from _changed("review" if reviewed else "unreview", ids, until, rows))


@operation()
def dead_replay(
    ids: list[int], until: int | None, *, base: int = 0, done: int = 0, gap: int = 0
) -> Steps[Changed]:
    """Give a batch of letters new attempts, at once or spread over time.

    Args:
        ids: which ones.
        until: as in `dead_review`.
        base: when the first replay of all was made.
        done: how many were replayed since.
        gap: microseconds between two of them.
    """
    return (yield from replay(ids, until, {"args": None, "base": base, "done": done, "gap": gap}))


def replay(
    ids: list[int], until: int | None, change: dict[str, Any]
) -> Generator[Statement, RowList, Changed]:
    """Give letters new attempts, and free keys that nobody needs any more."""
    rows = yield Statement("dead_replay", _chosen(ids, until) | change)
    if left := _without(ids, rows):
        held = yield Statement("dead_holders", _chosen(left, until))
        if over := {job_id: key for job_id, _, key in held if key is not None}:
            # Nobody needs those keys any more: free them, and try again.
            yield Statement("key_expire", {"keys": sorted(set(over.values()))})
            change = change | {"done": change["done"] + len(rows)}
            rows += yield Statement("dead_replay", _chosen(sorted(over), until) | change)
    queues = frozenset(queue for _, queue in rows)
    return (yield from _changed("replay", ids, until, rows, queues))


@operation()
def dead_purge(ids: list[int], until: int | None) -> Steps[Changed]:
    """Remove a batch of letters, with all that belongs to them; `until` as in `dead_review`."""
    rows = yield Statement("dead_purge", _chosen(ids, until))
    return (yield from _changed("purge", ids, until, rows))


def _chosen(ids: list[int], until: int | None) -> dict[str, Any]:
    return {"ids": ids, "until": EVER if until is None else until}


def _without(ids: list[int], rows: RowList) -> list[int]:
    done = {row[0] for row in rows}
    return [job_id for job_id in sorted(ids) if job_id not in done]


def _changed(
    verb: str,
    ids: list[int],
    until: int | None,
    rows: RowList,
    queues: frozenset[str] = frozenset(),
) -> Generator[Statement, RowList, Changed]:
    """Say what became of a batch, and why some of it was left."""
    refused = []
    if left := _without(ids, rows):
        held = yield Statement("dead_holders", _chosen(left, until))
        holders: dict[int, int | None] = {job_id: holder for job_id, holder, _ in held}
        others = [] if until is not None else [id_ for id_ in left if id_ not in holders]
        jobs = yield from read_jobs(others)
        refused = [refused_for_key(*held) for held in holders.items() if verb == "replay"]
        refused += [Refused(id_, _why(id_, jobs.get(id_), verb)) for id_ in others]
    return Changed([row[0] for row in rows], tuple(refused), queues)


def _why(job_id: int, job: Job | None, verb: str) -> DibsError:
    return JobNotFoundError(job_id) if job is None else not_dead(job, verb)
