"""A worker that cannot reach its database for long ends with exit code 1, whatever hangs."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs, StoreUnavailableError
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster
from tests.support.command import Folder
from tests.support.crew import Crew
from tests.support.database import misplaced, query, wait_until_ended
from tests.support.recorder import block_loop, record, record_slowly
from tests.support.waiting import WITHIN, eventually

SOON = {"heartbeat": 0.1, "lease": 0.5}
GIVE_UP = {"give_up_after": 1}
HASTY = """
import os
from dibs import Dibs
from dibs.store import postgres_driver
from dibs.worker import worker
postgres_driver.CONNECT_SECONDS = worker.FAREWELL_SECONDS = 1  # of 10 and 5
app = Dibs(os.environ["SHOP_URL"], heartbeat=0.2, lease=1)
app.job(kind="note")(lambda: None)
"""
NO_TIME = 0.5
"""What a worker gets to end by itself, where it can not."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    """A server of the module's own, which is stopped and started."""
    server = PostgresCluster(settings={"fsync": "off"})
    try:
        server.start()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with server:
        yield server


def put(url: str, handler: Any, **args: Any) -> int:
    """Enqueue a job of the recorder's."""
    with closing(Dibs(url)) as app:
        app.migrate()
        job: int = app.job(handler.function).enqueue(**args).id
    return job


def begun(crew: Crew) -> None:
    eventually(crew.entries, "the job to start")


class TestPostgresGone:
    def test_the_worker_ends_and_the_next_one_goes_on(
        self, cluster: PostgresCluster, tmp_path: Path
    ):
        url = cluster.create_database()
        job = put(url, record_slowly, seconds=60, go=True)
        worker = {**GIVE_UP, "grace": 3600}
        with Crew(url, tmp_path, app=SOON, worker=worker, patience=1) as crew:
            [worker] = crew.start()
            begun(crew)
            cluster.stop("immediate")
            try:
                assert worker.wait() == 1
            finally:
                cluster.start()
            said = worker.log.read_text()
            assert '"event": "worker_gave_up"' in said
            assert '"event": "worker_hung"' not in said
            assert "has been out of reach for 1 s (give_up_after=1)" in said.splitlines()[-1]
            assert said.splitlines()[-1].startswith("dibs.errors.StoreUnavailableError: ")
            (tmp_path / "go").touch()
            crew.start()
            wait_until_ended(url, within=WITHIN)
            crew.stop()
        assert misplaced(url) == []
        # Interrupted by its worker's end, not by its own fault.
        assert query(url, f"SELECT attempt FROM dibs_history WHERE id = {job}") == [(1,)]

    def test_a_worker_whose_loop_is_blocked_is_ended(
        self, cluster: PostgresCluster, tmp_path: Path
    ):
        url = cluster.create_database()
        put(url, block_loop)
        with Crew(url, tmp_path, app=SOON, worker=GIVE_UP, last_resort=NO_TIME) as crew:
            [worker] = crew.start()
            begun(crew)
            cluster.stop("immediate")
            try:
                assert worker.wait() == 1
            finally:
                cluster.start()
            [hung] = worker.events("worker_hung")
            assert hung["seconds"] >= GIVE_UP["give_up_after"] + NO_TIME
            assert worker.events("worker_gave_up") == []

    def test_a_deaf_server(self, cluster: PostgresCluster, tmp_path: Path):
        url = cluster.create_database()
        put(url, record_slowly, seconds=60, go=True)
        with Crew(url, tmp_path, app=SOON, worker=GIVE_UP, last_resort=NO_TIME) as crew:
            [worker] = crew.start()
            begun(crew)
            with frozen(cluster):
                assert worker.wait() == 1
            assert worker.events("worker_gave_up")

    def test_its_supervisor_starts_another_one(self, cluster: PostgresCluster, tmp_path: Path):
        shop = Folder(tmp_path, cluster.create_database())
        shop.write("hasty.py", HASTY)
        with closing(Dibs(shop.url)) as app:
            app.migrate()
        words = ("worker", "--log-format", "json", "--processes", 1, "--give-up-after", 0.5)
        with shop.start("--app", "hasty:app", *words) as supervisor:
            supervisor.wait_for("worker_started")
            cluster.stop("immediate")
            try:
                died = supervisor.wait_for("child_died")[0]
            finally:
                cluster.start()
            assert died["code"] == 1
            # Its lease is longer than what it was told, and nobody gives up before that.
            assert "out of reach for 1 s (give_up_after=1)" in died["message"]
            supervisor.wait_for("worker_started", 2)
            supervisor.process.send_signal(signal.SIGTERM)
            assert supervisor.ended().code == 0


@contextmanager
def frozen(cluster: PostgresCluster) -> Iterator[None]:
    """Have a server accept connections, as the system does for it, and say nothing."""
    import psutil

    server = psutil.Process(cluster.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


class TestSqliteGone:
    @pytest.mark.parametrize("how", ["locked", "gates", "removed"])
    def test_the_worker_ends(self, how: str, tmp_path: Path):
        folder = tmp_path / "data"
        folder.mkdir()
        url = f"sqlite:///{folder / 'dibs.db'}"
        put(url, record_slowly, seconds=60, go=True)
        # What waits for a lock inside the system cannot be called off: the last resort ends it.
        with Crew(url, tmp_path, app=SOON, worker=GIVE_UP, last_resort=NO_TIME) as crew:
            [worker] = crew.start()
            begun(crew)
            with TAKEN[how](folder):
                assert worker.wait() == 1
            assert '"event": "worker_gave_up"' in worker.log.read_text()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "dibs.db", isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def gates(folder: Path) -> Iterator[None]:
    """As a process would that was stopped in the middle of a transaction."""
    with (folder / "dibs.db-gate-b").open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


@contextmanager
def removed(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder)
    yield


TAKEN: dict[str, Callable[[Path], Any]] = {"locked": locked, "gates": gates, "removed": removed}


class TestInAProcessOfOthers:
    def test_the_worker_raises(self, tmp_path: Path):
        folder = tmp_path / "data"
        folder.mkdir()
        app = Dibs(f"sqlite:///{folder / 'dibs.db'}", **SOON)
        app.job(record.function)
        worker = app.worker(**GIVE_UP)
        problems: list[BaseException] = []

        def live() -> None:
            try:
                worker.run()
            except BaseException as error:
                problems.append(error)

        thread = threading.Thread(target=live)
        thread.start()
        assert worker.started.wait(WITHIN)
        shutil.rmtree(folder)
        thread.join(WITHIN)
        assert [type(problem) for problem in problems] == [StoreUnavailableError]
        app.close()
