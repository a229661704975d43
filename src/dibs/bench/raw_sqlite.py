"""A bare sqlite3 connection with dibs' texts."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from dibs.bench.handlers import QUEUE
from dibs.bench.raw import CLAIM, FRONT, ID, KIND, WORKER, Window
from dibs.bench.texts import bench_texts
from dibs.store.base import Role
from dibs.store.catalog import Step, compiled
from dibs.store.ops.enqueue import CHUNK
from dibs.store.sqlite import SYNCHRONOUS
from dibs.store.sqlite_script import placeholder

LOCK_SECONDS = 60


class RawSqlite:
    """See `dibs.bench.raw.Raw`."""

    def __init__(self, path: str, role: Role) -> None:
        self._connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
        self._execute = self._connection.execute
        self._front = {**FRONT, "queues": json.dumps([QUEUE])}
        self._kinds = json.dumps([KIND])
        self._execute("PRAGMA journal_mode = WAL")
        self._execute(f"PRAGMA synchronous = {SYNCHRONOUS[role]}")
        self._execute("PRAGMA temp_store = MEMORY")
        own = bench_texts("sqlite", None, placeholder)
        self._texts = compiled("sqlite", None, placeholder) | own

    def enqueue(self, args: str) -> None:
        """Store one job in one transaction."""
        params = {"kind": KIND, "queue": QUEUE, "args": args, "now": _now()}
        self._execute("BEGIN IMMEDIATE")
        for step in self._texts["bench_insert"]:
            self._execute(step.sql, params)
        self._execute("COMMIT")

    def enqueue_many(self, args: Sequence[str]) -> None:
        """Store jobs in one transaction."""
        self._execute("BEGIN IMMEDIATE")
        for start in range(0, len(args), CHUNK):
            rows = [
                [KIND, QUEUE, 0, one, 5, None, 0, None, None, None, None]
                for one in args[start : start + CHUNK]
            ]
            self._steps(self._texts["job_enqueue"], {"jobs": json.dumps(rows), "now": _now()})
        self._execute("COMMIT")

    def claim(self) -> list[Any]:
        """Take a batch."""
        self._execute("BEGIN IMMEDIATE")
        lines = self._steps(self._texts["queue_lines"], {**self._front, "now": _now()})
        jobs = []
        if lines:
            ids = json.dumps([head[1] for head in json.loads(lines[0][2])])
            known = {"kinds": self._kinds, "counted": "[]", "decide": 0}
            params = {"ids": ids, **known, "worker": WORKER, "now": _now()}
            jobs = self._steps(self._texts["job_claim"], params)
        self._execute("COMMIT")
        return jobs

    def settle(self, jobs: Sequence[Any]) -> None:
        """Complete a batch."""
        ends = json.dumps([(job[ID], job[CLAIM], "completed", None, None) for job in jobs])
        self._execute("BEGIN IMMEDIATE")
        params = {"worker": WORKER, "rows": ends, "asked": 0, "counted": 1, "now": _now()}
        self._steps(self._texts["job_finish"], params)
        self._execute("COMMIT")

    def _steps(self, steps: Sequence[Step], params: dict[str, Any]) -> list[Any]:
        rows: list[Any] = []
        for step in steps:
            rows = self._execute(step.sql, params).fetchall()
            if step.keep:
                params[step.keep] = json.dumps([row[0] for row in rows])
        return rows

    def _row(self, name: str, **params: int) -> Any:
        return self._execute(self._texts[name][0].sql, params).fetchone()

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
        return "a live worker" if self._row("bench_workers", now=_now())[0] else None

    def wipe(self) -> None:
        """Remove every job and every trace of one."""
        self._execute("BEGIN IMMEDIATE")
        self._steps(self._texts["bench_wipe"], {})
        self._execute("COMMIT")
        # What this measurement wrote must not be paid for by the next one.
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _now() -> int:
    return time.time_ns() // 1000
