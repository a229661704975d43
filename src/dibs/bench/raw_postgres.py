"""A bare psycopg connection with dibs' texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dibs.bench.handlers import QUEUE
from dibs.bench.raw import CLAIM, FRONT, ID, KIND, WORKER, Window
from dibs.bench.texts import bench_texts
from dibs.errors import MissingDependencyError
from dibs.store.base import Role
from dibs.store.catalog import compiled
from dibs.store.ops.enqueue import CHUNK
from dibs.store.postgres_script import NOW

try:
    import psycopg

    from dibs.store.postgres_driver import WORKER_SETTINGS, translated
except ImportError as error:
    raise MissingDependencyError("psycopg", "postgres", "a postgresql:// URL") from error

_BEGINNING = -(2**63)
"""Before every moment."""


class RawPostgres:
    """See `dibs.bench.raw.Raw`."""

    def __init__(self, target: str, role: Role) -> None:
        with translated(target):
            self._connection = psycopg.connect(target, autocommit=True)
        self._cursor: psycopg.Cursor[tuple[Any, ...]] = self._connection.cursor()
        self._execute: Any = self._cursor.execute
        self._front: dict[str, Any] = {**FRONT, "queues": [QUEUE]}
        self._mark(0, _BEGINNING, 0)
        if role is Role.WORKER:
            for setting in WORKER_SETTINGS:
                self._execute(setting)
        texts = compiled("postgres", NOW, _placeholder) | bench_texts("postgres", NOW, _placeholder)
        self._texts = {name: steps[0].sql for name, steps in texts.items()}

    def enqueue(self, args: str) -> None:
        """Store one job in one transaction."""
        params = {"kind": KIND, "queue": QUEUE, "args": args}
        self._execute(self._texts["bench_insert"], params)

    def enqueue_many(self, args: Sequence[str]) -> None:
        """Store jobs in one transaction."""
        with self._connection.transaction():
            for start in range(0, len(args), CHUNK):
                chunk = list(args[start : start + CHUNK])
                params = {
                    "jobs_kind": [KIND] * len(chunk),
                    "jobs_queue": [QUEUE] * len(chunk),
                    "jobs_priority": _array("0", len(chunk)),
                    "jobs_args": chunk,
                    "jobs_max_attempts": _array("5", len(chunk)),
                    "jobs_scheduled_at": _array("NULL", len(chunk)),
                    "jobs_delay": _array("0", len(chunk)),
                    "jobs_timeout": _array("NULL", len(chunk)),
                    "jobs_retry": _array("NULL", len(chunk)),
                    "jobs_limits": _array("NULL", len(chunk)),
                    "jobs_turn": _array("NULL", len(chunk)),
                }
                self._execute(self._texts["job_enqueue"], params).fetchall()

    def claim(self) -> list[Any]:
        """Take a batch."""
        lines = self._execute(self._texts["queue_lines"], self._front).fetchall()
        if not lines:
            self._mark(0, _BEGINNING, 0)
            return []
        heads = json.loads(lines[0][2])
        self._mark(lines[0][1], *heads[-1])
        params = {
            "lines_queue": [QUEUE],
            "lines_priority": f"{{{lines[0][1]}}}",
            "lines_scheduled_at": f"{{{heads[0][0]}}}",
            "lines_job_id": f"{{{heads[0][1]}}}",
            "lines_take": f"{{{len(heads)}}}",
            "kinds": [KIND],
            "counted": [],
            "decide": 0,
            "worker": WORKER,
        }
        jobs: list[Any] = self._execute(self._texts["job_claim"], params).fetchall()
        return jobs

    def _mark(self, priority: int, scheduled_at: int, job_id: int) -> None:
        self._front |= {
            "marks_queue": [QUEUE],
            "marks_priority": f"{{{priority}}}",
            "marks_scheduled_at": f"{{{scheduled_at}}}",
            "marks_job_id": f"{{{job_id}}}",
        }

    def settle(self, jobs: Sequence[Any]) -> None:
        """Complete a batch."""
        nothing = _array("NULL", len(jobs))
        ends = {
            "worker": WORKER,
            "rows_job_id": "{" + ",".join([str(job[ID]) for job in jobs]) + "}",
            "rows_claim": "{" + ",".join([str(job[CLAIM]) for job in jobs]) + "}",
            "rows_state": ["completed"] * len(jobs),
            "rows_result": nothing,
            "rows_reason": nothing,
            "asked": 0,
            "counted": 1,
        }
        self._execute(self._texts["job_finish"], ends).fetchall()

    def _row(self, name: str, **params: int) -> Any:
        return self._execute(self._texts[name], params).fetchone()

    def ended(self) -> int:
        """Return how many jobs have ended."""
        return int(self._row("bench_ended")[0])

    def last_ended(self) -> int:
        """Return the highest id of an ended job."""
        return int(self._row("bench_last")[0])

    def window(self, after: int) -> Window:
        """Return the window of the ended jobs above `after`."""
        return Window(*self._row("bench_window", after=after))

    def in_use(self) -> str | None:
        """Say what the database holds."""
        if self._row("bench_held")[0]:
            return "jobs"
        return "a live worker" if self._row("bench_workers")[0] else None

    def wipe(self) -> None:
        """Remove every job and every trace of one."""
        self._execute(self._texts["bench_wipe"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _array(value: str, count: int) -> str:
    return "{" + ",".join([value] * count) + "}"


def _placeholder(name: str) -> str:
    return f"%({name})s"
