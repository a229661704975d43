"""What a user does wrong is one line on standard error that says what to do, and no traceback."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support.command import Folder
from tests.support.waiting import eventually

SHOP = ("--app", "shop:app")
SECONDS = "expected seconds, a finite number of at least"
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "No such command 'nope'"),
        (["stats", "--nope"], "No such option"),
        (["stats"], "give --app module:attribute or --url URL"),
        (["worker"], "give --app module:attribute"),
        (["enqueue", "note"], "give --app module:attribute"),
        (["worker", "--url", "sqlite:///x.db"], "No such option"),
        (["--url", "sqlite:///x.db", *SHOP, "worker"], "leave --url out"),
        (["--url", "sqlite:///x.db", "enqueue", "note"], "needs --app"),
        ([*SHOP, "--url", "sqlite:///x.db", "stats"], "--app or --url, not both"),
        ([*SHOP, "worker", "--concurrency", 0], "--concurrency"),
        ([*SHOP, "worker", "--processes", 0], "--processes"),
        ([*SHOP, "worker", "--log-format", "xml"], "--log-format"),
        ([*SHOP, "enqueue", "note", "[1]"], "expected a JSON object of args by name, not [1]"),
        ([*SHOP, "enqueue", "note", '{"word'], "not JSON"),
        ([*SHOP, "enqueue", "note", "[" * 100_000], "not JSON"),
        ([*SHOP, "enqueue", "note", "-"], "not JSON"),
        ([*SHOP, "enqueue", "note", "{}", "--priority", "URGENT"], "LOW, NORMAL, HIGH, CRITICAL"),
        ([*SHOP, "enqueue", "note", "{}", "--priority", 40_000], "from -32768 to 32767"),
        ([*SHOP, "enqueue", "note", "{}", "--scheduled-at", "tomorrow"], "ISO 8601"),
        ([*SHOP, "enqueue", "note", "{}", "--scheduled-at", "2030-01-31T08:00"], "no time zone"),
        (
            [*SHOP, "enqueue", "note", "{}", "--scheduled-at", "9999-12-31T23:59:59-12:00"],
            "expected a moment between the years 1 and 9999 in UTC",
        ),
        ([*SHOP, "enqueue", "note", "{}", "--delay", "nan"], f"'nan': {SECONDS} 0"),
        ([*SHOP, "enqueue", "note", "{}", "--delay", -1], f"'-1': {SECONDS} 0"),
        ([*SHOP, "enqueue", "note", "{}", "--delay", "soon"], f"'soon': {SECONDS} 0"),
        ([*SHOP, "enqueue", "note", "{}", "--max-attempts", "x"], "'x' is not a whole number"),
        ([*SHOP, "worker", "--grace", "inf"], f"'inf': {SECONDS} 0"),
        ([*SHOP, "worker", "--poll", 0], f"'0': {SECONDS} 0.001"),
        ([*SHOP, "jobs", "list", "--state", "odd"], "scheduled"),
        ([*SHOP, "jobs", "list", "--limit", 0], "--limit"),
        ([*SHOP, "jobs", "list", "--limit", "x"], "'x' is not a whole number"),
        ([*SHOP, "jobs", "show", "abc"], "'abc' is not a whole number"),
        ([*SHOP, "jobs", "show", 10**30], "ID"),
        ([*SHOP, "jobs", "cancel"], "ID"),
        ([*SHOP, "jobs", "reprioritize", "--priority", 5], "ID"),
        ([*SHOP, "jobs", "reprioritize", 1], "--priority"),
        ([*SHOP, "jobs", "reprioritize", 1, "--priority", "URGENT"], "LOW, NORMAL, HIGH, CRITICAL"),
        ([*SHOP, "jobs", "reprioritize", 1, "--priority", 40_000], "from -32768 to 32767"),
    ],
)
def test_bad_usage(folder: Folder, arguments: list[Any], says: str):
    ended = folder.run(*arguments)
    assert says in ended.refused(2)
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["enqueue", "nope"], "registered kinds: fail, hold, note, note_other"),
        (["enqueue", "note"], "args of 'note': word: Field required"),
        (["enqueue", "note", '{"word": "x"}', "--delay", 1e300], "delay"),
        (["enqueue", "note", '{"word": "x"}', "--max-attempts", 0], "max_attempts=0"),
        (
            ["enqueue", "note", "{}", "--delay", 1, "--scheduled-at", "2030-01-31T08:00Z"],
            "give one of them",
        ),
        (["jobs", "show", 99], "no job has the id 99"),
        (["jobs", "cancel", 99], "no job has the id 99"),
        (["jobs", "reprioritize", 99, "--priority", 5], "no job has the id 99"),
        (["worker", "--grace", 1e300], "grace"),
    ],
)
def test_what_cannot_be_done(folder: Folder, arguments: list[Any], says: str):
    ended = folder.shop(*arguments)
    assert says in ended.refused(1)
    assert ended.out == ""


class TestTheApp:
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("shop", "expected module:attribute"),
            ("shop:", "expected module:attribute"),
            (":app", "expected module:attribute"),
            ("shop.py:app", "expected module:attribute"),
            ("./shop:app", "expected module:attribute"),
            (".shop:app", "expected module:attribute"),
            ("shap:app", "there is no module 'shap' in "),
            ("shop.sub:app", "there is no module 'shop.sub' in "),
            ("shop:aap", "module 'shop' has no 'aap'; did you mean shop:app?"),
            ("shop:app.jobs.nope", "module 'shop' has no 'app.jobs.nope'"),
            ("shop:note", "'note' is of type Handler, not Dibs; did you mean shop:app?"),
        ],
    )
    def test_that_is_not_there(self, folder: Folder, name: str, says: str):
        assert says in folder.run("--app", name, "stats").refused(2)

    def test_may_be_an_attribute_of_an_attribute(self, folder: Folder):
        folder.write("deep.py", "import shop\n\nclass Place:\n    app = shop.app\n")
        assert folder.run("--app", "deep:Place.app", "stats", "--json").document

    def test_needs_a_package_that_is_missing(self, folder: Folder):
        folder.write("lacking.py", "import no_such_package\n")
        said = folder.run("--app", "lacking:app", "stats").refused(1)
        assert "importing 'lacking' failed: No module named 'no_such_package'" in said

    def test_is_made_with_options_that_cannot_work(self, folder: Folder):
        folder.write("wrong.py", "from dibs import Dibs\napp = Dibs('mysql://localhost/x')\n")
        assert "mysql" in folder.run("--app", "wrong:app", "stats").refused(1)

    def test_without_handlers_has_no_worker(self, folder: Folder):
        assert "no handlers" in folder.run("--app", "shop:nothing", "worker").refused(1)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("\n\n1 / 0\n", "ZeroDivisionError: division by zero (broken.py, line 3)"),
            ("import json\njson.loads('{')\n", "(broken.py, line 2)"),
            ("def fail():\n    assert 0\nfail()\n", "AssertionError (broken.py, line 2)"),
            ("app = (\n", "SyntaxError: '(' was never closed (broken.py, line 1)"),
            ("import shop, worse\n", "NameError: name 'nope' is not defined (worse.py, line 2)"),
            ("import json\nfrom json import nope\n", "(broken.py, line 2)"),
            ("import sys\nsys.exit(0)\n", "SystemExit: 0 (broken.py, line 2)"),
        ],
    )
    @pytest.mark.parametrize("command", [["stats"], ["worker"], ["enqueue", "note"]])
    def test_of_a_module_that_raises(
        self, folder: Folder, command: list[str], text: str, says: str
    ):
        folder.write("worse.py", "\nnope\n")
        folder.write("broken.py", text)
        said = folder.run("--app", "broken:app", *command).refused(1)
        assert said.startswith("cannot import 'broken': ")
        assert said.endswith(says)


class TestTheDatabase:
    @pytest.mark.parametrize("url", [NOBODY, "sqlite:////nowhere/dibs.db"])
    @pytest.mark.parametrize("command", ["stats", "migrate", "worker"])
    def test_that_cannot_be_reached(self, folder: Folder, url: str, command: str):
        assert url in folder.shop(command, SHOP_URL=url).refused(1)

    def test_of_no_known_engine(self, folder: Folder):
        assert "sqlite:///" in folder.run("stats", "--url", "mysql://localhost/x").refused(1)

    @pytest.mark.parametrize("command", ["stats", "worker"])
    def test_without_tables(self, folder: Folder, postgres_url: str, command: str):
        assert "migrate" in folder.shop(command, SHOP_URL=postgres_url).refused(1)


def test_an_interrupted_command(folder: Folder):
    # Short naps: a signal that comes just before one long sleep would not end it.
    folder.write(
        "slow.py", "import time\nprint('loading', flush=True)\nwhile True:\n    time.sleep(0.01)\n"
    )
    with folder.start("--app", "slow:app", "stats") as running:
        eventually(lambda: running.out, "the import")
        running.process.send_signal(signal.SIGINT)
        assert running.ended().refused(1) == "interrupted"
