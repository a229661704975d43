"""The only place that knows SQL: operations, their statements, and the engines that run them."""

from __future__ import annotations

from dibs.store.base import Clock, Role, Store
from dibs.store.urls import parse_url


def open_store(url: str | None, role: Role, *, clock: Clock | None = None) -> Store:
    """Return the store for a database URL; nothing is opened before its first operation.

    Args:
        url: `sqlite:///file.db` or `postgresql://…`; None means `$DIBS_URL`, and without that
            `sqlite:///dibs.db`.
        role: who uses it.
        clock: the time in microseconds since 1970 UTC, for tests; by default the database's.

    Raises:
        ConfigurationError: a URL of neither engine.
        MissingDependencyError: the driver is not installed.
    """
    parsed = parse_url(url)
    if parsed.engine == "sqlite":
        from dibs.store.sqlite import SqliteStore

        return SqliteStore(parsed, role, clock)
    from dibs.store.postgres import PostgresStore

    return PostgresStore(parsed, role, clock)


__all__ = ["Clock", "Role", "Store", "open_store"]
