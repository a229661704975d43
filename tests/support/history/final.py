"""The database's last word on every job, as records of a history."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.support.database import query
from tests.support.history.events import History, Record
from tests.support.history.log import read

PLACES = """
    SELECT job_id, 'scheduled' FROM dibs_scheduled UNION ALL
    SELECT job_id, 'blocked' FROM dibs_blocked UNION ALL
    SELECT job_id, 'ready' FROM dibs_ready UNION ALL
    SELECT job_id, 'running' FROM dibs_running UNION ALL
    SELECT job_id, 'dead' FROM dibs_dead UNION ALL
    SELECT id, state FROM dibs_history
"""
# The outcomes that count against the most attempts of a job.
FAILED = "SELECT job_id, claim FROM dibs_attempts WHERE outcome IN ('failed', 'timed_out')"
JOBS = """
    SELECT j.id, j.attempt, j.max_attempts, j.crashes, COALESCE(d.worker, ''), j.claim,
        COALESCE(d.reason, ''), j.args
    FROM dibs_jobs AS j LEFT JOIN dibs_dead AS d ON d.job_id = j.id
    UNION ALL
    SELECT id, attempt, max_attempts, crashes, COALESCE(worker, ''), NULL, COALESCE(reason, ''),
        args
    FROM dibs_history
"""


def records(url: str) -> dict[int, Record]:
    """Return what the database says of every job, by its id."""
    places: dict[int, list[str]] = defaultdict(list)
    for id_, place in query(url, PLACES):
        places[id_].append(place)
    failed: dict[int, set[int]] = defaultdict(set)
    for id_, claim in query(url, FAILED):
        failed[id_].add(claim)
    found = {}
    for id_, attempt, most, crashes, worker, claim, reason, args in query(url, JOBS):
        if id_ in found:  # its record stands in two tables
            places[id_].append("two records")
        found[id_] = Record(
            id_, tuple(places.pop(id_, ())), attempt, most, crashes, worker, claim, reason,
            frozenset(failed[id_]), _tag(args),
        )  # fmt: skip
    for id_, stray in places.items():  # places without a record
        found[id_] = Record(id_, (*stray, "no record"), 0, 0, 0)
    return found


def history(url: str, folder: Path, *, at_rest: bool = True) -> History:
    """Return all that was told in `folder`, with the last word of the database."""
    return History(read(folder), records(url), at_rest)


def _tag(args: Any) -> str:
    return str((json.loads(args) if isinstance(args, str) else args).get("tag", ""))
