"""`dibs demo` as its users see it: it ends by itself, tells the truth, and leaves nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dibs import Dibs
from tests.support.database import query
from tests.support.waiting import eventually

SECONDS = 60.0
"""In which the demo has to be over."""
SHORT = """
from dibs.cli import main
from dibs.cli.demo import traffic

traffic.REPORTS, traffic.WAVES, traffic.SECONDS_BETWEEN_WAVES = 500, 2, 0.5
main()
"""
whole_or_short = pytest.mark.parametrize(
    ("orders", "jobs", "script"),
    [
        pytest.param(20, "581 jobs", ("-c", SHORT), id="short"),
        pytest.param(40, "3,147 jobs", ("-m", "dibs"), id="whole", marks=[pytest.mark.chaos]),
    ],
)
"""Less load than people see, but in the test that looks at all of it."""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The demo's own folder for temporary files; its processes are known by it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def start(
    temporary: Path, *arguments: str, script: tuple[str, str] = ("-m", "dibs")
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *script, "demo", *arguments],
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(demo: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return demo.communicate(timeout=2 * SECONDS)
    finally:
        if demo.poll() is None:
            demo.terminate()  # so that it ends what it started
            demo.communicate()


def processes_of(temporary: Path) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(temporary):
                found.append(process.cmdline())
        except psutil.Error:  # somebody else's, or gone
            continue
    return [command for command in found if command]  # the rest have ended, uncollected


def assert_nothing_is_left(temporary: Path, url: str | None) -> None:
    eventually(lambda: not processes_of(temporary), "the demo's processes to end", every=0.1)
    assert list(temporary.iterdir()) == []
    if url is not None and url.startswith("postgresql:"):
        made = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dibs%'"
        assert query(url, made) == []
        tables = "SELECT relname FROM pg_class WHERE relname LIKE 'dibs%' OR relname = 'orders'"
        assert query(url, tables) == []
    elif url is not None:
        file = Path(url.removeprefix("sqlite:///"))
        assert list(file.parent.glob(f"{file.name}*")) == []


def test_it_runs_on_a_file_of_its_own(temporary: Path):
    began = time.monotonic()
    demo = start(temporary)
    output, errors = finish(demo)
    assert (demo.returncode, errors) == (0, ""), output
    assert time.monotonic() - began < SECONDS
    assert "✗" not in output
    for line in ("POST /orders: order 40", "daily_report", "every order was confirmed exactly once",
                 "CRITICAL", "40 orders and 3,147 jobs on SQLite"):  # fmt: skip
        assert line in output
    assert_nothing_is_left(temporary, None)


@whole_or_short
def test_it_runs_where_it_is_told_and_reports_as_json(
    database_url: str, temporary: Path, orders: int, jobs: str, script: tuple[str, str]
):
    began = time.monotonic()
    demo = start(temporary, "--url", database_url, "--json", script=script)
    output, errors = finish(demo)
    assert demo.returncode == 0, errors
    assert time.monotonic() - began < SECONDS
    result: dict[str, Any] = json.loads(output)
    assert result["ok"]
    assert result["orders"] == orders
    assert all(found["holds"] for found in result["checks"])
    assert result["kinds"]["notify_partner"]["states"]["dead"] == orders // 10
    assert result["waits"]["CRITICAL"]["median"] < result["waits"]["LOW"]["median"] / 5
    assert_nothing_is_left(temporary, database_url)


@whole_or_short
@pytest.mark.usefixtures("postgres_cluster")  # skipped where that is
def test_it_starts_a_postgresql_server_of_its_own(
    temporary: Path, orders: int, jobs: str, script: tuple[str, str]
):
    temporary.chmod(0o755)  # the server runs as another user where this one is root
    demo = start(temporary, "--postgres", script=script)
    output, errors = finish(demo)
    assert (demo.returncode, errors) == (0, ""), output
    assert f"{orders} orders and {jobs} on PostgreSQL" in output
    assert_nothing_is_left(temporary, None)


@pytest.mark.parametrize(
    ("engine", "number"), [("sqlite", signal.SIGTERM), ("postgres", signal.SIGINT)]
)
def test_it_cleans_up_when_it_is_interrupted(
    number: signal.Signals, database_url: str, temporary: Path
):
    demo = start(temporary, "--url", database_url)
    assert demo.stdout is not None
    assert any("order 3 " in line for line in demo.stdout)
    demo.send_signal(number)
    _, errors = finish(demo)
    assert demo.returncode == 1
    assert errors == "dibs: error: interrupted\n"
    assert_nothing_is_left(temporary, database_url)


def test_it_does_not_touch_a_database_in_use(database_url: str, temporary: Path):
    app = Dibs(database_url)
    app.migrate()
    app.close()
    demo = start(temporary, "--url", database_url)
    _, errors = finish(demo)
    assert demo.returncode == 1
    assert "name a" in errors
    assert errors.count("\n") == 1
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(0,)]
