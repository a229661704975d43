"""The documentation cannot lie: its code runs, its links lead somewhere, its tables are the code's.

How a page is run is told in `tests/examples/pages.py`.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dibs import Dibs
from tests.examples.pages import (
    DOCUMENTED_DATABASE,
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    links,
    name_of,
)
from tests.support.nursery import run

EXECUTED = ("dibs ", "python ", "sleep ")
"""What a command that is run begins with, after the variables that it sets."""
SHELL = frozenset("|&;<>()$`*?~\n")
"""What only a shell understands."""
VARIABLE = re.compile(r"\w+=")
SECONDS = 60

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
pages_that_run = pytest.mark.parametrize(
    "page",
    [p for p in PAGES if any(b.runs and b.language in {"python", "console"} for b in blocks(p))],
    ids=name_of,
)


@every_page
def test_python_compiles(page: Path):
    for block in blocks(page):
        if block.language == "python":
            compile("\n" * (block.line - 1) + block.text, name_of(page), "exec")


@every_page
def test_links_lead_somewhere(page: Path):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)} links to {link}: no such heading"


@pages_that_run
def test_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    database = DOCUMENTED_DATABASE
    if database in page.read_text("utf-8"):
        database = "//" + request.getfixturevalue("postgres_url").partition("//")[2]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("DIBS_URL", raising=False)
    with PageRun(page, database) as run:
        for block in blocks(page):
            if block.runs:
                run.block(block)


class PageRun:
    """Runs the blocks of one page, one after the other, in the current directory."""

    def __init__(self, page: Path, database: str) -> None:
        self.page = page
        self.database = database
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.output: str | None = None
        self.modules: list[str] = []

    def __enter__(self) -> PageRun:
        return self

    def __exit__(self, *problem: object) -> None:
        for value in self.names.values():  # a page need not close what a script's end closes
            if isinstance(value, Dibs):
                value.close()
        for name in self.modules:  # the next page may have a file of the same name
            sys.modules.pop(name, None)

    def block(self, block: Block) -> None:
        where = f"{name_of(self.page)}:{block.line}"
        text = block.text.replace(DOCUMENTED_DATABASE, self.database)
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(text, "utf-8")
            self.modules.append(block.file.removesuffix(".py").replace("/", "."))
        elif block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(
                    compile("\n" * (block.line - 1) + text, where, "exec", dont_inherit=True),
                    self.names,
                )
            self.output = printed.getvalue()
        elif block.language == "text" and block.follows and self.output is not None:
            check(block.text, self.output, where)
            self.output = None
        elif block.language == "console":
            for command, expected in block.commands():
                self.command(command, expected, where)

    def command(self, command: str, expected: str, where: str) -> None:
        words = [word for word in command.split() if "=" not in word.partition("'")[0]]
        if not f"{words[0]} ".startswith(EXECUTED):
            return
        code, out, err = execute(command.replace(DOCUMENTED_DATABASE, self.database))
        assert code == 0, f"{where}: $ {command}\n{out}{err}"
        if expected:
            check(expected, out, f"{where}: $ {command}")


def execute(command: str) -> tuple[int, str, str]:
    """Execute a line as a shell would; return its exit code and what it said on each stream."""
    if not SHELL.intersection(command):
        words = shlex.split(command)
        begin = next(place for place, word in enumerate(words) if not VARIABLE.match(word))
        env = {**os.environ, **dict(word.split("=", 1) for word in words[:begin])}
        match words[begin:]:
            case "dibs", *arguments:
                return run("-m", "dibs", *arguments, env=env, cwd=Path.cwd(), within=SECONDS)
            case "python", *arguments:
                return run(*arguments, env=env, cwd=Path.cwd(), within=SECONDS)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, shell=True, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def check(expected: str, output: str, where: str) -> None:
    """Compare output with what a page shows; `...` stands for anything, blanks don't count."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    same = doctest.OutputChecker().check_output(expected, output, flags)
    assert same, f"{where} shows\n{expected}\nbut this came:\n{output}"


def test_there_are_pages():
    names = {name_of(page) for page in PAGES}
    assert {"README.md", "ARCHITECTURE.md", "docs/tutorial.md"} <= names
    assert ROOT.joinpath("docs/reference").is_dir()
