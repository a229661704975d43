"""Changing many dead letters: batch after batch, each a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from dibs.client.faces import Batches
from dibs.client.jobs import ID_LIMIT
from dibs.errors import DibsError, JobNotFoundError
from dibs.model.dead import (
    DeadFilter,
    DeadFilters,
    DeadResult,
    Refused,
    check_text,
    distinct,
    make_filter,
)
from dibs.store.ops import dead
from dibs.store.ops.dead import BATCH, BEGIN, Changed
from dibs.store.statement import Operation

Ids = int | Iterable[int]
Progress = Callable[[int], None]
"""Is called after each batch, with how many dead letters it dealt with."""
Change = Callable[[list[int], int | None, int], Operation[Changed]]
"""From ids, until when those died that are meant, and how many were done before, to a batch."""


def reviewing(reviewed: bool, author: str | None, note: str | None) -> Change:
    """Return how a batch is marked as reviewed or not, with a note for each."""
    name = check_author(author)
    said = None if note is None else check_text(note, "note")
    return lambda ids, until, _: dead.dead_review(
        ids, until, reviewed=reviewed, author=name, note=said
    )


def replaying(base: int, gap: int) -> Change:
    """Return how a batch is replayed: `gap` microseconds between two, from `base` on."""
    return lambda ids, until, done: nudging(
        dead.dead_replay(ids, until, base=base, done=done, gap=gap)
    )


def purging(ids: list[int], until: int | None, _: int) -> Operation[Changed]:
    """Return how a batch is purged."""
    return dead.dead_purge(ids, until)


def nudging(replay: Operation[Changed]) -> Operation[Changed]:
    """Have idle workers told of what was replayed."""
    return replace(replay, nudges=lambda changed: changed.queues)


def each(job_ids: Ids, change: Change) -> Batches[DeadResult]:
    """Change letters that were named, and tell of those that could not be."""
    ids = distinct(job_ids)
    known = [job_id for job_id in ids if 0 < job_id < ID_LIMIT]
    done = 0
    refused = [
        Refused(job_id, JobNotFoundError(job_id)) for job_id in ids if not 0 < job_id < ID_LIMIT
    ]
    for start in range(0, len(known), BATCH):
        changed: Changed = yield change(known[start : start + BATCH], None, done)
        done += len(changed.ids)
        refused += changed.refused
    if isinstance(job_ids, int) and refused:
        raise refused[0].error
    return DeadResult(done, tuple(refused))


def all_that_match(
    chosen: DeadFilter, change: Change, progress: Progress | None
) -> Batches[DeadResult]:
    """Change the letters that match: those that there are now, each looked at once."""
    (until, _), cursor, last = (yield dead.dead_latest()), BEGIN, False
    done, refused = 0, list[Refused]()
    while not last:
        page: dead.Page = yield dead.dead_find(chosen, cursor, until)
        cursor, last = page.cursor, page.last
        if page.ids:
            changed: Changed = yield change(page.ids, until, done)
            done += len(changed.ids)
            refused += changed.refused
            if progress is not None:
                progress(len(page.ids))
    return DeadResult(done, tuple(refused))


def chosen_by(method: str, filters: DeadFilters, everything: bool) -> DeadFilter:
    """Return the filter of a method; one that lets all through has to be meant."""
    chosen = make_filter(filters)
    if chosen.empty and everything is not True:
        raise DibsError(
            f"{method} without a filter means every dead letter: give a filter, or say so with "
            "everything=True"
        )
    return chosen


def check_author(name: str | None) -> str | None:
    """Return the name of somebody who notes or reviews."""
    return None if name is None else check_text(name, "author")
