"""The demo's database: one of its own, gone when the demo ends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from dibs.errors import ConfigurationError, MissingDependencyError, StoreUnavailableError
from dibs.store.gate import SUFFIXES
from dibs.store.urls import DatabaseUrl, parse_url

BESIDE = ("", "-wal", "-shm", "-journal", *SUFFIXES)
"""What a SQLite database of dibs consists of: suffixes of its files."""


@contextmanager
def demo_database(url: str | None, *, postgres: bool, folder: Path) -> Iterator[str]:
    """Make a database for the demo and yield its URL; remove afterwards what was made.

    Args:
        url: where to make it. A SQLite file must not exist yet; on PostgreSQL it is a schema
            of its own in the database that the URL names. Default a SQLite file in `folder`.
        postgres: start a PostgreSQL server just for the demo instead.
        folder: an empty folder.

    Raises:
        ConfigurationError: the file exists, or the PostgreSQL database already holds dibs' tables.
        StoreUnavailableError: the PostgreSQL database cannot be reached.
        MissingDependencyError: the driver or the server is not installed.
    """
    if postgres:
        from dibs.testing import PostgresCluster

        with PostgresCluster() as cluster:
            yield cluster.create_database()
        return
    if url is None:
        yield f"sqlite:///{quote(str(folder / 'orders.db'))}"
        return
    parsed = parse_url(url)
    with _file(parsed) if parsed.engine == "sqlite" else _schema(parsed) as made:
        yield made


@contextmanager
def _file(url: DatabaseUrl) -> Iterator[str]:
    file = Path(url.target)
    if file.exists():
        raise ConfigurationError(
            f"{url.display} exists, and the demo removes its database when it ends; "
            "name a file that does not exist yet"
        )
    try:
        yield f"sqlite:///{quote(str(file))}"
    finally:
        for suffix in BESIDE:
            file.with_name(file.name + suffix).unlink(missing_ok=True)


@contextmanager
def _schema(url: DatabaseUrl) -> Iterator[str]:
    try:
        import psycopg
        from psycopg.sql import SQL, Identifier
    except ImportError as error:
        raise MissingDependencyError("psycopg", "postgres", "a postgresql:// URL") from error

    schema = f"dibs_demo_{secrets.token_hex(4)}"
    try:
        with psycopg.connect(url.target, connect_timeout=10) as connection:
            found = connection.execute("SELECT to_regclass('dibs_jobs')").fetchone()
            if found != (None,):
                raise ConfigurationError(
                    f"{url.display} already holds the tables of dibs, and the demo does not run "
                    "beside a queue in use; name another database"
                )
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()
        raise StoreUnavailableError(
            f"{url.display}: {reason[-1] if reason else type(error).__name__}; the demo needs a "
            "database that it can reach and create a schema in"
        ) from error
    try:
        yield _inside(url.target, schema)
    finally:
        with psycopg.connect(url.target, connect_timeout=10) as connection:
            connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


def _inside(url: str, schema: str) -> str:
    """Return `url` with every unqualified name looked up in `schema`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -c search_path={schema}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))
