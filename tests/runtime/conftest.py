"""Folders with an app, from which commands are run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs
from tests.support.command import Folder


@pytest.fixture
def folder(tmp_path: Path, sqlite_url: str) -> Folder:
    """A folder where the engine doesn't matter."""
    return Folder(tmp_path, sqlite_url)


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Folder:
    """A folder with its database, still without tables; once on each engine."""
    return Folder(tmp_path, database_url)


@pytest.fixture
def app(new_app: Callable[..., Dibs]) -> Dibs:
    """The shop's database, with tables, as seen from the test."""
    return new_app()


@pytest.fixture
def enqueue(app: Dibs) -> Callable[..., int]:
    """Enqueue a job of the shop without its handlers."""

    def note(word: str) -> None: ...
    def note_other(word: str) -> None: ...
    async def hold(word: str) -> None: ...
    def fail(message: str) -> None: ...

    declared = {function.__name__: app.job(function) for function in (note, hold, fail)}
    declared["note_other"] = app.job(queue="other")(note_other)

    def enqueue(kind: str, word: str, **options: Any) -> int:
        return declared[kind].using(**options).enqueue(word).id

    return enqueue
