"""Databases that can't be used: each refused in one line that says what to do."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dibs import (
    Dibs,
    DibsError,
    SchemaError,
    StoreUnavailableError,
)
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face, faces
from tests.conformance.spies import raw

SECRET = "s3cr3t"


def note(text: str = "") -> None: ...


@pytest.fixture
def open_face(mode: str) -> Iterator[OpenFace]:
    """Make faces of apps on whatever URL a test names."""
    with faces(mode) as make:
        yield make


def refusals(face: Face) -> Iterator[str]:
    """Do what first touches the database, and yield what each is refused with."""
    handler = face.handler(note)
    for use in (
        handler.enqueue,
        lambda: face.enqueue_many([handler.request()]),
        lambda: face.jobs.get(1),
        face.jobs.list,
        face.stats,
        face.migrate,
    ):
        with pytest.raises(DibsError) as raised:
            use()
        message = str(raised.value)
        assert "\n" not in message
        assert "Traceback" not in message
        yield message


class TestSqliteFiles:
    def test_in_a_folder_that_is_not_there(self, open_face: OpenFace, tmp_path: Path):
        for message in refusals(open_face(f"sqlite:///{tmp_path}/nowhere/shop.db")):
            assert "nowhere/shop.db" in message
            assert "folder exists" in message
        assert not (tmp_path / "nowhere").exists()

    def test_that_are_folders(self, open_face: OpenFace, tmp_path: Path):
        for message in refusals(open_face(f"sqlite:///{tmp_path}")):
            assert "cannot be opened" in message

    def test_that_are_something_else(self, open_face: OpenFace, tmp_path: Path):
        letter = tmp_path / "letter.txt"
        letter.write_text("Dear reader, this is no database. " * 100)
        before = letter.read_bytes()
        for message in refusals(open_face(f"sqlite:///{letter}")):
            assert "not a SQLite database; name another file" in message
        assert letter.read_bytes() == before

    @pytest.mark.parametrize("what", ["folder", "file"])
    def test_that_may_not_be_written(self, what: str, mode: str, tmp_path: Path):
        """As an ordinary user: root may write everywhere."""
        folder = tmp_path / "closed"
        folder.mkdir()
        if what == "file":
            app = Dibs(f"sqlite:///{folder}/shop.db")
            app.migrate()
            app.close()
            for file in folder.iterdir():
                file.chmod(0o444)
        folder.chmod(0o555)
        script = f"""
            import os, asyncio
            from dibs import Dibs
            app = Dibs("sqlite:///{folder}/shop.db")
            @app.job
            def note(): ...
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            try:
                note.enqueue() if {mode!r} == "sync" else asyncio.run(note.aenqueue())
            except Exception as error:
                print(type(error).__name__, error)
        """
        said = _python(script)
        assert said.startswith("StoreUnavailableError")
        assert "shop.db" in said
        assert "writable" in said
        assert said.count("\n") == 1

    def test_that_somebody_keeps_locked(self, open_face: OpenFace, sqlite_url: str):
        face = open_face(sqlite_url)
        face.target.store._lock_timeout = 0.05  # of 30 seconds, which nobody sets
        handler = face.handler(note)
        handler.enqueue()
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match=r"write lock .* end its transaction"):
                handler.enqueue()
            assert face.rows() == (1, 1)  # reading goes on
        handler.enqueue()
        assert face.rows() == (2, 2)


class TestPostgres:
    def test_that_is_not_there(self, open_face: OpenFace):
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))  # bound, and not listening: refused at once
            host = f"127.0.0.1:{taken.getsockname()[1]}"
            face = open_face(f"postgresql://ann:{SECRET}@{host}/shop")
            start = time.monotonic()
            for message in refusals(face):
                assert f"postgresql://ann:***@{host}/shop cannot be reached" in message
                assert "refused" in message
                assert "check the URL" in message
                assert SECRET not in message
            assert time.monotonic() - start < 10

    def test_that_does_not_know_the_database(self, open_face: OpenFace, postgres_url: str):
        url = postgres_url.replace("postgres@", f"postgres:{SECRET}@") + "_not"
        for message in refusals(open_face(url)):
            assert "does not exist" in message
            assert SECRET not in message

    @pytest.mark.parametrize(
        "wrong",
        ["host:port/db", "host/db?nonsense=1", "host/db?sslmode=perhaps", "[::1/db", "%zz/db"],
    )
    def test_urls_that_mean_nothing(self, open_face: OpenFace, wrong: str):
        with pytest.raises(DibsError) as raised:  # at once, or when it is used
            open_face(f"postgresql://ann:{SECRET}@{wrong}").stats()
        assert SECRET not in str(raised.value)

    def test_without_tables(self, open_face: OpenFace, postgres_url: str):
        face = open_face(postgres_url)
        handler = face.handler(note)
        for use in (handler.enqueue, face.jobs.list, face.stats, lambda: face.jobs.get(1)):
            with pytest.raises(SchemaError, match=r"has no dibs tables.*dibs migrate"):
                use()
        face.migrate()
        handler.enqueue()
        assert face.rows() == (1, 1)

    def test_without_its_driver(self):
        said = _python("""
            import sys
            sys.modules["psycopg"] = None  # as if it were not installed
            from dibs import Dibs
            try:
                Dibs("postgresql://localhost/shop")
            except Exception as error:
                print(type(error).__name__, error)
            Dibs("sqlite:///shop.db")
        """)
        assert said.startswith("MissingDependencyError")
        assert "pip install 'dibs[postgres]'" in said


def test_tables_newer_than_the_code(new_face: OpenFace, tables_url: str, engine: str):
    new_face().migrate()
    raw(tables_url, "INSERT INTO dibs_migrations VALUES (9999, 'from_the_future', 0)")
    try:
        for message in refusals(new_face()):
            assert "at version 9999" in message
            assert "upgrade dibs" in message
    finally:
        raw(tables_url, "DELETE FROM dibs_migrations WHERE version = 9999")


def _python(script: str) -> str:
    """Run a script in a process of its own and return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout
