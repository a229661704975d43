"""Standard streams that are closed, full or read by nobody, and locales without UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support.command import Ended, Folder
from tests.support.nursery import said_by
from tests.support.waiting import WITHIN

NOTE = """enqueue note '{"word": "x"}'"""
UNREAD = "{ while [ ! -e gone ]; do sleep 0.01; done; %s; } | { exec 0<&-; touch gone; }"
"""Runs a command only after the reader of its output has gone."""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}


@pytest.fixture
def app(folder: Folder) -> Iterator[Dibs]:
    app = Dibs(folder.url)
    yield app
    app.close()


def bash(folder: Folder, script: str, **env: str) -> Ended:
    """Run a script in which `$DIBS` is the command, for an app of the folder."""
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=folder.path,
        env={
            **os.environ, "SHOP_URL": folder.url, "DIBS": f"{sys.executable} -m dibs",
            "DIBS_APP": "shop:app", **env,
        },
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class TestAReaderThatHasGone:
    @pytest.mark.parametrize("json", ["", "--json"])
    def test_leaves_an_enqueue_a_success(self, folder: Folder, app: Dibs, json: str):
        ended = bash(folder, UNREAD % f"$DIBS {NOTE} {json}")
        assert (ended.code, ended.err) == (0, "")
        assert len(app.jobs.list()) == 1

    @pytest.mark.parametrize(
        "command",
        ["stats", "migrate", "jobs list", "jobs show 1", "jobs cancel 1", "--help", "stats --help"],
    )
    def test_is_no_error(self, folder: Folder, command: str):
        folder.shop("enqueue", "note", '{"word": "x"}')
        ended = bash(folder, UNREAD % f"$DIBS {command}")
        assert (ended.code, ended.err) == (0, "")

    def test_does_not_hide_what_was_refused(self, folder: Folder):
        ended = bash(folder, UNREAD % "$DIBS jobs cancel 99 --json")
        assert "no job has the id 99" in ended.refused(1)

    def test_before_the_work_is_an_error(self, folder: Folder, app: Dibs):
        folder.write("loud.py", "import shop\nprint('hello', flush=True)\napp = shop.app\n")
        ended = bash(folder, UNREAD % f"$DIBS {NOTE}", DIBS_APP="loud:app")
        assert "BrokenPipeError: Broken pipe (loud.py, line 2)" in ended.err.replace(
            "[Errno 32] ", ""
        )
        assert ended.code == 1
        assert app.jobs.list() == []


class TestOutput:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("command", [NOTE, "jobs list", "jobs list --json", "--help"])
    def test_on_a_full_disk(self, folder: Folder, app: Dibs, command: str):
        said = bash(folder, f"$DIBS {command} > /dev/full").refused(1)
        assert said == (
            "the work is done, but its output could not be written: No space left on device"
        )
        assert len(app.jobs.list()) == (command is NOTE)

    @pytest.mark.parametrize("command", [NOTE, "jobs list", "jobs list --json", "stats"])
    def test_that_is_closed(self, folder: Folder, app: Dibs, command: str):
        said = bash(folder, f"$DIBS {command} >&-").refused(1)
        assert "standard output is closed" in said
        assert app.jobs.list() == []

    def test_that_is_closed_does_not_stop_a_worker(self, folder: Folder, app: Dibs):
        folder.shop("enqueue", "note", '{"word": "x"}')
        assert bash(folder, "$DIBS worker --until-idle >&-").code == 0
        assert [str(job.state) for job in app.jobs.list()] == ["completed"]

    @pytest.mark.parametrize("options", ["", "--json"])
    def test_without_utf_8(self, folder: Folder, options: str):
        folder.shop("enqueue", "note", '{"word": "x"}', "--queue", "grüße")
        ended = bash(folder, f"$DIBS jobs list {options}", **ASCII)
        assert (ended.code, ended.err) == (0, "")
        assert ("gr\\u00fc\\u00dfe" if options else "grüße") in ended.out


def test_a_driver_that_logs_is_not_heard_beside_what_a_command_says():
    script = """
import logging
from contextlib import suppress
from dibs.cli import main
with suppress(SystemExit):
    main(["--version"])
logging.getLogger("psycopg.pool").warning("closing returned connection")
"""
    assert said_by(script).startswith("dibs")


class TestInput:
    def test_that_is_closed(self, folder: Folder):
        assert "standard input is closed" in bash(folder, "$DIBS enqueue note - <&-").refused(1)

    def test_that_cannot_be_read(self, folder: Folder):
        said = bash(folder, "$DIBS enqueue note - 0> written-only").refused(1)
        assert said == "standard input cannot be read: Bad file descriptor"

    @pytest.mark.parametrize("command", ["jobs list --queue ü", "jobs cancel 1 --reason ü", "ü"])
    def test_arguments_without_utf_8(self, folder: Folder, command: str):
        said = bash(folder, f"$DIBS {command}", **ASCII).refused(2)
        assert said.startswith(r"argument b'\xc3\xbc' is not text")
        assert "LC_ALL=C.UTF-8" in said
