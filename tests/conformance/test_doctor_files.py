"""The doctor on SQLite: the file, what it is on, its log, its unused space."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dibs import Check, Dibs, Finding, Level
from dibs.doctor import files

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def app(sqlite_url: str) -> Iterator[Dibs]:
    app = Dibs(sqlite_url)
    app.migrate()
    yield app
    app.close()


@pytest.fixture
def file(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


def the(app: Dibs, code: Check) -> Finding:
    [finding] = [finding for finding in app.doctor().findings if finding.code is code]
    return finding


def test_no_file_is_made(sqlite_url: str, file: Path):
    app = Dibs(sqlite_url)
    found = the(app, Check.DATABASE)
    assert (found.level, "there is no such file" in found.message) == (Level.PROBLEM, True)
    assert list(file.parent.iterdir()) == []


def test_no_database(sqlite_url: str, file: Path):
    file.write_bytes(b"no database at all, but text" * 100)
    found = the(Dibs(sqlite_url), Check.DATABASE)
    assert (found.level, "is not a SQLite database" in found.message) == (Level.PROBLEM, True)


def test_a_file_that_may_not_be_written(app: Dibs, file: Path, monkeypatch: pytest.MonkeyPatch):
    # Whether root may write does not depend on permissions, so the system's answer is replaced.
    monkeypatch.setattr(os, "access", lambda path, _mode: path != str(file))
    levels = {f.level: f.message for f in app.doctor().findings if f.code is Check.DATABASE}
    assert levels[Level.PROBLEM] == f"{file} cannot be written by this user"


def test_another_journal_mode(app: Dibs, file: Path):
    app.close()
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
    found = the(app, Check.JOURNAL_MODE)
    assert (found.level, "journal_mode is delete" in found.message) == (Level.PROBLEM, True)
    app.stats()  # the next use
    assert the(app, Check.JOURNAL_MODE).level is Level.OK


def test_a_log_that_only_grows(app: Dibs, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "LONG_WAL", 2_000_000)
    monkeypatch.setattr(files, "VERY_LONG_WAL", 20_000_000)
    assert the(app, Check.WAL_SIZE).level is Level.OK

    @app.job
    def note(text: str) -> None: ...

    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM dibs_jobs").fetchall()
        for _ in range(12):
            app.enqueue_many(note.request("x" * 10_000) for _ in range(50))
        found = the(app, Check.WAL_SIZE)
        assert (found.level, "keeps a transaction open" in found.advice) == (Level.WARNING, True)
        monkeypatch.setattr(files, "VERY_LONG_WAL", 3_000_000)
        assert the(app, Check.WAL_SIZE).level is Level.PROBLEM


def test_a_file_that_is_mostly_unused(app: Dibs, file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "UNUSED", 1_000_000)
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE mine (text)")
        other.executemany("INSERT INTO mine VALUES (?)", [("x" * 10_000,)] * 300)
        other.execute("DROP TABLE mine")
        other.commit()
    found = the(app, Check.FREE_PAGES)
    assert (found.level, "VACUUM" in found.advice) == (Level.WARNING, True)
    assert " MB in the file are unused" in found.message


@pytest.mark.parametrize(
    ("free", "level"),
    [(99_000_000, Level.PROBLEM), (999_000_000, Level.WARNING), (10**10, Level.OK)],
)
def test_a_full_disk(app: Dibs, free: int, level: Level, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**11, 10**11 - free, free))
    found = the(app, Check.DISK)
    assert found.level is level
    assert "of 100.0 GB are free" in found.message


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/share /srv/my\\040share nfs4 rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
/dev/sdb1 /srv/my\\040share/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/my share/queue", "nfs4"),
        ("/srv/my share", "nfs4"),
        ("/srv/my share/local/queue", "xfs"),
        ("/srv/my shared", "ext4"),
        ("/home/me/remote", "fuse.sshfs"),
        ("/var/lib", "ext4"),
    ],
)
def test_the_type_of_a_file_system(folder: str, kind: str):
    assert files.file_system(folder, MOUNTS) == kind


@pytest.mark.parametrize(("kind", "level"), [("nfs4", Level.PROBLEM), ("ext4", Level.OK)])
def test_a_file_system_that_other_machines_share(
    app: Dibs, kind: str, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/share / {kind} rw 0 0\n")
    monkeypatch.setattr(files, "MOUNTS", mounts)
    found = the(app, Check.FILE_SYSTEM)
    assert found.level is level
    assert f"of type {kind}" in found.message
    assert ("PostgreSQL" in found.advice) == (level is Level.PROBLEM)
