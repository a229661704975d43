"""Database URLs: which engine they name, and what that engine needs of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from dibs.errors import ConfigurationError

DEFAULT_URL = "sqlite:///dibs.db"
EXPECTED = (
    "expected sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"
)

_USERINFO = re.compile(r":(?!//)[^/]*@")
_OPTION = re.compile(r"(password\s*=\s*)(?:'[^']*'|[^&\s]*)", re.IGNORECASE)

Engine = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A checked URL."""

    engine: Engine
    target: str
    """SQLite: the path of the file. PostgreSQL: the connection string for libpq."""
    display: str
    """The URL without its password."""

    @property
    def file(self) -> str | None:
        """The path of the database on this machine; None where a server has it."""
        return self.target if self.engine == "sqlite" else None


def parse_url(url: str | None) -> DatabaseUrl:
    """Check a URL; None means `$DIBS_URL`, and without that `sqlite:///dibs.db`.

    Raises:
        ConfigurationError: neither a SQLite nor a PostgreSQL URL, or one without a file.
    """
    url = url if url is not None else os.environ.get("DIBS_URL") or DEFAULT_URL
    if not isinstance(url, str) or "://" not in url:
        shown = hide_password(url) if isinstance(url, str) else url
        raise ConfigurationError(f"database URL {shown!r}: {EXPECTED}")
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return _sqlite(url, rest)
    if scheme.partition("+")[0] in {"postgresql", "postgres"}:
        return _postgres(rest)
    raise ConfigurationError(f"database URL with scheme {scheme!r}: {EXPECTED}")


def _sqlite(url: str, rest: str) -> DatabaseUrl:
    host, slash, name = rest.partition("/")
    if "?" in name or "#" in name:
        raise ConfigurationError(
            f"database URL {url!r}: a SQLite URL has no options; write ? and # in the name of a "
            "file as %3F and %23"
        )
    path = unquote(name)
    if host or not slash or not path:
        raise ConfigurationError(f"database URL {url!r} names no file; {EXPECTED}")
    if path.startswith(":memory:"):
        raise ConfigurationError(
            f"database URL {url!r}: a database in memory can't be shared with workers; use a file"
        )
    return DatabaseUrl("sqlite", str(Path(path).absolute()), url)


def _postgres(rest: str) -> DatabaseUrl:
    target = f"postgresql://{rest}"
    display = hide_password(target)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = authority.rpartition("@")
    try:
        for host in hosts.split(","):  # each by itself: several are libpq's, not the standard's
            urlsplit(f"//{user}{at}{host}")
    except ValueError:
        raise ConfigurationError(
            f"database URL {display!r}: brackets that don't hold an address; write those in a "
            f"password as %5B and %5D; {EXPECTED}"
        ) from None  # the cause may quote the password
    return DatabaseUrl("postgres", target, display)


def hide_password(url: str) -> str:
    """Return `url` without its password, wherever libpq would find one."""
    return _OPTION.sub(r"\1***", _USERINFO.sub(":***@", url, count=1))
