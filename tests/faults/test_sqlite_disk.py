"""Scenario 6: the disk of a SQLite file is full, or the file is read-only, or it is gone."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs, State, StoreUnavailableError
from dibs.store import sqlite
from dibs.store.runner import Call
from dibs.store.sqlite_connection import execute
from tests.conformance.working import work
from tests.support import recorder
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced, query, wait_until_at_rest
from tests.support.history.events import Event, What
from tests.support.history.final import history, records
from tests.support.history.log import Log, now, read
from tests.support.history.report import Report, summarize
from tests.support.seed import Chance
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import eventually

# A lease that outlasts the fault: nobody may take anybody for dead.
APP = {"heartbeat": 0.5, "lease": 60}
WORKERS = CUSTOMERS = 2
FULL_SECONDS = 0.7


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=64) as disk:
        yield disk


@pytest.mark.parametrize("times", [2, pytest.param(25, marks=[pytest.mark.chaos])])
def test_a_full_disk_stops_the_work_and_loses_nothing(
    disk: SmallDisk, tmp_path: Path, chance: Chance, lab: Callable[[Report], None], times: int
):
    url, log = f"sqlite:///{disk.folder / 'dibs.db'}", Log(tmp_path)
    with closing(Dibs(url)) as app:
        app.migrate()
    with (
        Crew(url, tmp_path, app=APP, tell=True) as crew,
        Customers(url, tmp_path, CUSTOMERS, 300, seed=chance.seed_used, pause=0.01) as customers,
    ):
        crew.start(WORKERS)
        for _ in range(times):
            time.sleep(chance.uniform(0.2, 0.8))  # so that it comes at any moment
            felt = len(refusals(crew))
            disk.fill()
            eventually(lambda felt=felt: len(refusals(crew)) > felt, "somebody to feel it")
            time.sleep(chance.uniform(0, FULL_SECONDS))  # how long it lasts is left to chance
            disk.clear()
            log.fault(to="there was no room until now")
        customers.stop()
        assert customers.finish() == ([0] * CUSTOMERS, [""] * CUSTOMERS)
        wait_until_at_rest(url, within=60)
        assert crew.stop() == [0] * WORKERS
    # What could not be stored is no fault of a job's.
    assert query(url, "SELECT * FROM dibs_attempts WHERE error_type = 'StoreError'") == []
    assert query(url, "PRAGMA integrity_check") == [("ok",)]
    assert misplaced(url) == []
    lab(summarize("disk full", "sqlite", history(url, tmp_path), chance.seed_used))


def refusals(crew: Crew) -> list[str]:
    said = [event["message"] for worker in crew.workers for event in worker.warnings()]
    return [message for message in said if "disk is full" in message]


def test_what_a_full_disk_refuses_works_again_when_there_is_room(disk: SmallDisk):
    with closing(Dibs(f"sqlite:///{disk.folder / 'dibs.db'}")) as app:
        record = app.job(recorder.flaky.function)
        record.enqueue(tag="before")
        disk.fill()
        with pytest.raises(StoreUnavailableError, match="the disk is full"):
            app.enqueue_many(record.request(tag="x" * 1000) for _ in range(1000))
        disk.clear()
        record.enqueue(tag="after")
        assert [job.args["tag"] for job in app.jobs.list()] == ["after", "before"]


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_READONLY"])
def test_an_end_that_the_disk_refuses_is_no_failure_of_the_job(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, name: str
):
    refused = []

    def refuse_once(connection: Any, call: Call) -> Any:
        if "INSERT INTO dibs_history" in call.sql and not refused:
            error = sqlite3.OperationalError("no")
            error.sqlite_errorname = name
            refused.append(error)
            raise error
        return execute(connection, call)

    monkeypatch.setattr(sqlite, "execute", refuse_once)
    ran = []
    with closing(Dibs(sqlite_url)) as app:

        @app.job
        async def note() -> None:
            ran.append(1)

        job = note.enqueue()
        work(app)
        done = app.jobs.get(job.id)
        assert (len(refused), len(ran)) == (1, 1)
        assert (done.state, done.attempt, len(app.jobs.attempts(job.id))) == (State.COMPLETED, 1, 1)


# --- A file that cannot be written --------------------------------------------------------------


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Give up, from then on, the rights of root, who may write everything."""

    def change() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    uid = os.geteuid()
    yield change
    os.seteuid(uid)


def test_a_read_only_file_refuses_clearly_and_keeps_what_it_has(as_nobody: Callable[[], None]):
    with tempfile.TemporaryDirectory() as folder:  # not the test's own: only its owner may read it
        path = Path(folder)
        url = f"sqlite:///{path / 'dibs.db'}"
        with closing(Dibs(url)) as app:
            job = app.job(recorder.flaky.function).enqueue(tag="kept")
        files = list(path.iterdir())
        modes = {file: file.stat().st_mode for file in [path, *files]}
        for file in modes:
            file.chmod(0o555)
        as_nobody()
        with closing(Dibs(url)) as app:
            flaky = app.job(recorder.flaky.function)
            with pytest.raises(StoreUnavailableError, match="permissions"):
                flaky.enqueue(tag="refused")
            with pytest.raises(StoreUnavailableError, match="permissions"):
                app.worker().run()
        os.seteuid(os.getuid())
        for file, mode in modes.items():
            file.chmod(mode)
        with closing(Dibs(url)) as app:
            assert [found.id for found in app.jobs.list()] == [job.id]
            assert app.jobs.get(job.id).state is State.READY


# --- A file that is gone ------------------------------------------------------------------------


def test_a_deleted_file_loses_nothing_that_was_acknowledged_after_it(
    sqlite_url: str, tmp_path: Path, chance: Chance
):
    """What was in it is gone by somebody's will; what comes after lies in a new file."""
    with closing(Dibs(sqlite_url)) as app:
        app.migrate()
    with (
        Crew(sqlite_url, tmp_path, app=APP, tell=True) as crew,
        Customers(sqlite_url, tmp_path, 2, 3, seed=chance.seed_used, pause=0.005) as customers,
    ):
        crew.start(2)
        eventually(lambda: len(acknowledged(tmp_path)) > 200, "some load")
        delete(tmp_path)
        deleted = now()
        assert customers.finish() == ([0, 0], ["", ""])
        wait_until_at_rest(sqlite_url, within=30)
        assert crew.stop() == [0, 0]
        gone = [event for worker in crew.workers for event in worker.warnings()]
    assert [event for event in gone if "deleted or replaced" in event["message"]]
    after = {event.tag for event in acknowledged(tmp_path) if event.asked > deleted}
    kept = records(sqlite_url).values()
    assert len(after) > 50
    assert after <= {record.tag for record in kept}
    assert {record.places for record in kept} <= {("completed",), ("dead",)}


def test_a_claim_of_the_deleted_file_ends_no_job_of_the_new_one(sqlite_url: str, tmp_path: Path):
    with Crew(sqlite_url, tmp_path, app=APP, worker={"concurrency": 1}) as crew:
        enqueue(sqlite_url, seconds=60, go=True)
        (old,) = crew.start()
        eventually(crew.entries, "the first start")
        old.freeze()  # or it would claim the new job too, and give it back
        delete(tmp_path)
        enqueue(sqlite_url, seconds=5)
        crew.start()
        eventually(lambda: len(crew.entries()) == 2, "the second start")
        old.send(signal.SIGCONT)
        (tmp_path / "go").touch()
        eventually(lambda: query(sqlite_url, "SELECT id FROM dibs_history"), "its end")
        assert len(crew.entries("end")) == 2, "it ended while it ran"


def enqueue(url: str, **args: Any) -> None:
    with closing(Dibs(url)) as app:
        app.job(recorder.record_slowly.function).enqueue(**args)


def delete(folder: Path) -> None:
    for file in folder.glob("dibs.db*"):
        if "gate" not in file.name:
            file.unlink()


def acknowledged(folder: Path) -> list[Event]:
    return [event for event in read(folder) if event.what is What.ACKNOWLEDGED]
