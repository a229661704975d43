"""A URL with several hosts: whichever comes first, dibs works on the one that takes writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from dibs import Dibs, StoreUnavailableError
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster
from tests.conformance.working import working
from tests.support.command import Folder
from tests.support.standby import Standby, replicate_synchronously
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresCluster, Standby]]:
    with ExitStack() as servers:
        try:
            primary = servers.enter_context(PostgresCluster())
        except MissingDependencyError as error:
            pytest.skip(str(error))
        primary.create_database("shop")
        standby = servers.enter_context(Standby(primary))
        replicate_synchronously(primary)
        yield primary, standby


def url_of(*servers: PostgresCluster) -> str:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/shop"


def test_every_face_finds_the_primary(pair: tuple[PostgresCluster, Standby]):
    primary, standby = pair
    url = url_of(standby, primary)
    app = Dibs(url)
    app.migrate()
    ran = []

    @app.job
    async def note(n: int) -> None:
        ran.append(n)

    async def enqueue() -> None:
        await note.aenqueue(2)
        await app.aclose()

    note.enqueue(1)
    asyncio.run(enqueue())
    with working(app, poll=60):
        eventually(lambda: ran == [1, 2], "what waited")
        note.enqueue(3)
        # Long before the worker would look by itself: it listens on the right server.
        eventually(lambda: ran == [1, 2, 3], "the one it was told of")
        names = {name for (name,) in ask(primary, "SELECT application_name FROM pg_stat_activity")}
        assert names >= {"dibs-producer", "dibs-worker", "dibs-watch", "dibs-nudge"}
    app.close()


def test_the_command_line_finds_it(pair: tuple[PostgresCluster, Standby], tmp_path: Path):
    primary, standby = pair
    shop = Folder(tmp_path, url_of(standby, primary))
    assert shop.run("migrate", "--url", shop.url).code == 0
    assert shop.run("stats", "--url", shop.url, "--json").document["states"]["ready"] == 0


def test_a_standby_alone_is_refused_unless_the_url_asks_for_it(
    pair: tuple[PostgresCluster, Standby],
):
    primary, standby = pair
    Dibs(url_of(primary)).migrate()
    with pytest.raises(StoreUnavailableError, match="session is read-only"):
        Dibs(url_of(standby)).stats()
    app = Dibs(f"{url_of(standby)}?target_session_attrs=any")
    eventually(lambda: not app.stats().waiting, "its figures")
    app.close()


def ask(server: PostgresCluster, question: str) -> list[tuple[str]]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        return connection.execute(question).fetchall()  # type: ignore[call-overload, no-any-return]
