"""SQLite has no clock of its own: the time of a write is that of the moment when its turn comes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from dibs.model.lines import Serving
from dibs.model.times import SECOND
from dibs.store import Role, open_store
from dibs.store.ops.workers import worker_beat

NOON = 1_767_268_800 * SECOND


def test_the_clock_is_read_while_nobody_else_can_write(tmp_path: Path):
    """Else a heartbeat that waits while the clock is set would undo what the others did since."""
    file = tmp_path / "dibs.db"
    locked: list[bool] = []

    def clock() -> int:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                locked.append(True)
            else:
                locked.append(False)
        return NOON

    with open_store(f"sqlite:///{file}", Role.WORKER, clock=clock) as store:
        store.migrate()
        locked.clear()
        store.run(worker_beat("ann", Serving(("default",)), ["mail"], 1, {}, SECOND))
    assert locked
    assert all(locked)
