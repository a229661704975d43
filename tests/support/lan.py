"""Workers that reach their database each over a way of its own, which can be cut."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dibs.testing import PostgresCluster
from tests.support.hosts import three_hosts
from tests.support.proxy import Proxy

ANYBODY = "host all all all trust\n"


@dataclass(frozen=True)
class Way:
    """How one worker reaches the database."""

    url: str
    """The database, as that worker sees it."""
    at: Callable[[], AbstractContextManager[None]]
    """Be where that worker is, to start it."""
    cut: Callable[[], None]
    """From now on nothing passes in either direction, and nobody is told."""
    mend: Callable[[], None]


@dataclass(frozen=True)
class Lan:
    """A database, and the ways to it."""

    url: str
    ways: list[Way]


def through(proxy: Proxy) -> Way:
    """Return the way through a proxy."""
    return Way(f"{proxy.url}?connect_timeout=2", nullcontext, proxy.hold, proxy.heal)


@contextmanager
def over_proxies(url: str, count: int) -> Iterator[Lan]:
    """Put a proxy into every way to the database `url`."""
    with ExitStack() as closing:
        proxies = [closing.enter_context(Proxy(url)) for _ in range(count)]
        yield Lan(url, [through(proxy) for proxy in proxies])


@contextmanager
def over_cables(settings: dict[str, str]) -> Iterator[Lan]:
    """Be on the host of a database of one's own, with cables to two others.

    Raises:
        NotPermittedError: this machine lets us make no namespaces.
    """
    with ExitStack() as closing:
        database, cables = closing.enter_context(three_hosts())
        closing.enter_context(database.inside())
        rules = closing.enter_context(tempfile.NamedTemporaryFile("w", suffix=".conf"))
        Path(rules.name).write_text(ANYBODY)
        Path(rules.name).chmod(0o644)  # the server may run as somebody else
        settings = {**settings, "listen_addresses": "*", "hba_file": rules.name}
        cluster = closing.enter_context(PostgresCluster(settings=settings))
        url = cluster.create_database()
        ways = [
            Way(
                f"{url.replace('127.0.0.1', cable.address)}?connect_timeout=2",
                cable.host.inside,
                cable.pull,
                cable.plug,
            )
            for cable in cables
        ]
        yield Lan(url, ways)
