"""Database URLs: which engine they name, and what that engine needs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from dibs.errors import ConfigurationError

DEFAULT_URL = "sqlite:///dibs.db"
EXPECTED = (
    "expected sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"
)

Engine = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A checked URL."""

    engine: Engine
    target: str
    """SQLite: the path of the file. PostgreSQL: the connection string for libpq."""
    display: str
    """The URL without its password."""


def parse_url(url: str | None) -> DatabaseUrl:
    """Check a URL; None means `$DIBS_URL`, and without that `sqlite:///dibs.db`.

    Raises:
        ConfigurationError: neither a SQLite nor a PostgreSQL URL, or one without a file.
    """
    url = url if url is not None else os.environ.get("DIBS_URL") or DEFAULT_URL
    if not isinstance(url, str) or "://" not in url:
        raise ConfigurationError(f"database URL {url!r}: {EXPECTED}")
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return _sqlite(url, rest)
    if scheme.partition("+")[0] in {"postgresql", "postgres"}:
        return _postgres(url, rest)
    raise ConfigurationError(f"database URL with scheme {scheme!r}: {EXPECTED}")


def _sqlite(url: str, rest: str) -> DatabaseUrl:
    host, slash, name = rest.partition("/")
    path = unquote(name)
    if host or not slash or not path:
        raise ConfigurationError(f"database URL {url!r} names no file; {EXPECTED}")
    if path.startswith(":memory:"):
        raise ConfigurationError(
            f"database URL {url!r}: a database in memory can't be shared with workers; use a file"
        )
    return DatabaseUrl("sqlite", str(Path(path).absolute()), url)


def _postgres(url: str, rest: str) -> DatabaseUrl:
    target = f"postgresql://{rest}"
    try:
        parts = urlsplit(target)
        password = parts.password
    except ValueError as error:
        raise ConfigurationError(f"database URL {url!r}: {error}; {EXPECTED}") from error
    netloc = parts.netloc.replace(f":{password}@", ":***@") if password else parts.netloc
    return DatabaseUrl("postgres", target, urlunsplit(parts._replace(netloc=netloc)))
