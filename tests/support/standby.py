"""A pair of PostgreSQL servers that take turns: a primary, and a standby that streams from it."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString
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
        self.port = port or self.port
        self._primary = primary

    def _fill(self, base: Path) -> None:
        self._tool(
            base, "pg_basebackup", "--pgdata", str(base / "data"), "--write-recovery-conf",
            "--checkpoint=fast", "--no-sync", "--dbname", self._primary.url(),
        )  # fmt: skip

    def promote(self) -> None:
        """Become the primary, one that has no standby; return when it takes writes."""
        _execute(
            self,
            "SELECT pg_promote()",
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )


def replicate_synchronously(primary: PostgresCluster) -> None:
    """Have `primary` confirm a commit only when its standby has it on disk too."""
    _execute(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    eventually(lambda: _execute(primary, STREAMING), "the standby to stream", every=0.05)


def multi_host(url: str, *others: PostgresCluster) -> str:
    """Return the URL of the same database on whichever of several servers takes writes."""
    parts = urlsplit(url)
    hosts = ",".join([parts.netloc, *(f"127.0.0.1:{other.port}" for other in others)])
    return parts._replace(netloc=hosts, query="target_session_attrs=read-write").geturl()


def _execute(server: PostgresCluster, *statements: LiteralString) -> list[tuple[object, ...]]:
    """Execute each statement by itself, and return the rows of the last."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall()
