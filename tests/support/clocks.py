"""Clocks that can be stepped while processes run: a machine's wall clock, and a database's.

The kernel's own clock cannot be set without setting it for everybody. So a process is given a
`time.time` and `time.time_ns` that add what a file says, and PostgreSQL a `statement_timestamp()`
that is found before its own. The monotonic clock never steps, on any machine, and stays.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.support.database import query

WIDTH = 24


class WallClock:
    """What the processes that follow it take for the time of day."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            self.step_to(0.0)

    def step_to(self, seconds: float) -> None:
        """Have it go ahead of the true time by so much, or behind it."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(file, f"{round(seconds * 1e9):+{WIDTH}d}".encode(), 0)
        os.close(file)

    def follow(self) -> None:
        """Have this process follow it, for good."""
        file, true = os.open(self.path, os.O_RDONLY), time.time_ns

        def stepped() -> int:
            return true() + int(os.pread(file, WIDTH, 0))

        time.time_ns = stepped
        time.time = lambda: stepped() / 1e9


class PostgresClock:
    """A PostgreSQL database's own clock, for every connection that is opened from now on."""

    def __init__(self, url: str) -> None:
        self._url = url
        query(url, "CREATE SCHEMA stepped")
        query(url, "CREATE TABLE stepped.clock (ahead interval NOT NULL)")
        query(url, "INSERT INTO stepped.clock VALUES ('0')")
        query(
            url,
            "CREATE FUNCTION stepped.statement_timestamp() RETURNS timestamptz STABLE "
            "LANGUAGE sql AS 'SELECT pg_catalog.statement_timestamp() + ahead FROM stepped.clock'",
        )
        name = url.rpartition("/")[2]
        query(url, f'ALTER DATABASE "{name}" SET search_path = stepped, pg_catalog, public')

    def step_to(self, seconds: float) -> None:
        query(self._url, f"UPDATE stepped.clock SET ahead = '{seconds} seconds'")
