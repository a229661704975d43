"""The gates of a SQLite file never stand in the way of a transaction that holds the file's lock."""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from dibs import Dibs

SECONDS = 20.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dibs.db"


@pytest.fixture
def other(file: Path) -> Iterator[Future[Any]]:
    """Somebody who enqueues as soon as they are allowed to, in a thread."""
    app = Dibs(f"sqlite:///{file}")
    app.migrate()

    @app.job
    def other(n: int) -> None: ...

    start = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: (start.wait(SECONDS), other.enqueue(1))[1])
        future.start = start.set  # type: ignore[attr-defined]
        yield future
        start.set()
    app.close()


def waits_at_the_file(future: Any, file: Path) -> None:
    """Let the other go ahead, until they hold the gate and wait for the file."""
    future.start()
    deadline = time.monotonic() + SECONDS
    with (file.parent / f"{file.name}-gate-b").open("rb") as gate:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(gate, fcntl.LOCK_UN)
            time.sleep(0.001)
    pytest.fail("nobody took the gate")


def handler_of(file: Path) -> Any:
    app = Dibs(f"sqlite:///{file}")

    @app.job
    def mine(n: int) -> None: ...

    return mine


def enqueued_in_time(enqueue: Callable[[], Any]) -> None:
    began = time.monotonic()
    enqueue()
    assert time.monotonic() - began < SECONDS / 2, "waited for the gate, and so for itself"


def test_enqueueing_on_a_connection_that_holds_the_lock(file: Path, other: Future[Any]):
    mine = handler_of(file)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    waits_at_the_file(other, file)
    enqueued_in_time(lambda: mine.using(connection=connection).enqueue(1))
    enqueued_in_time(lambda: mine.using(connection=connection).enqueue(2))
    connection.execute("COMMIT")
    connection.close()
    assert other.result(SECONDS).kind == "other"


def test_enqueueing_twice_on_a_connection_that_began_nothing(file: Path, other: Future[Any]):
    mine = handler_of(file)
    connection = sqlite3.connect(file)
    mine.using(connection=connection).enqueue(1)
    waits_at_the_file(other, file)
    enqueued_in_time(lambda: mine.using(connection=connection).enqueue(2))
    connection.commit()
    connection.close()
    assert other.result(SECONDS).kind == "other"


def test_enqueueing_on_an_sqlalchemy_connection_that_holds_the_lock(file: Path, other: Future[Any]):
    mine = handler_of(file)
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id INTEGER)"))
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        waits_at_the_file(other, file)
        enqueued_in_time(lambda: mine.using(connection=connection).enqueue(1))
    engine.dispose()
    assert other.result(SECONDS).kind == "other"
