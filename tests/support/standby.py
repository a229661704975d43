"""A pair of PostgreSQL servers that take turns: a primary, and a standby that streams from it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from dibs.testing import PostgresCluster
from tests.support.waiting import eventually

STREAMING = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"


class Standby(PostgresCluster):
    """A copy of another server, by pg_basebackup, that follows it until it is promoted."""

    def __init__(self, primary: PostgresCluster, port: int | None = None) -> None:
        """Follow `primary`; `port` is where to listen, by default one of its own."""
        super().__init__()
        if port is not None:
            self.port = port
        self._primary = primary

    def _fill(self, base: Path) -> None:
        copy = ["--pgdata", str(base / "data"), "--write-recovery-conf", "--checkpoint=fast"]
        self._tool(base, "pg_basebackup", "--no-sync", *copy, "--dbname", self._primary.url())

    def promote(self) -> None:
        """Become the primary; return when it takes writes."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)


def wait_for_each_other(primary: PostgresCluster) -> None:
    """From now on `primary` confirms a commit when its standby has it on disk too."""
    with psycopg.connect(primary.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        eventually(lambda: connection.execute(STREAMING).fetchone(), "the standby to stream")


def multi_host(url: str, *others: PostgresCluster) -> str:
    """Return the URL of the same database on whichever of several servers takes writes."""
    parts = urlsplit(url)
    hosts = ",".join([parts.netloc, *(f"127.0.0.1:{other.port}" for other in others)])
    return parts._replace(netloc=hosts).geturl()
