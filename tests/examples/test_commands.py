"""Commands in the documentation exist, with every option they are shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dibs.cli.root import cli
from tests.examples.pages import PAGES, ROOT, blocks, code, inline_code, name_of, tables

REFERENCE = tables(ROOT / "docs/reference/cli.md")


def commands(group: click.Group = cli, path: str = "dibs") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands())


def options(command: click.Command) -> set[str]:
    return {
        flag
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for flag in (*option.opts, *option.secondary_opts)
        if flag != "--help"
    }


def test_reference_names_every_command():
    listed = {re.sub(r" [A-Z].*", "", code(row[0])) for row in REFERENCE["The command line"]}
    assert listed == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_reference_names_every_option(name: str):
    cells = [row[0] for row in REFERENCE[f"`{name}`"]]
    assert set(re.findall(r"--[\w-]+", " ".join(cells))) == options(COMMANDS[name])


def test_reference_names_every_common_option():
    cells = [code(row[0]) for row in REFERENCE["Which app, which database"]]
    assert set(cells) == options(cli)


def shown(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language == "console":
            yield from (command for command, _ in block.commands())
    yield from inline_code(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_shown_commands_exist(page: Path):
    for command in shown(page):
        found = re.match(r"(?:\w+=\S+ )*(dibs|make) (.*)", command)
        if found and found[1] == "dibs":
            check_dibs(found[2], f"{name_of(page)}: {command}")
        elif found:
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert found[2].split()[0] in targets, f"{name_of(page)}: {command}"


def check_dibs(arguments: str, where: str) -> None:
    words = shlex.split(arguments, comments=True)
    plain = " ".join(word for word in words if not word.startswith("-"))
    called = [name for name in COMMANDS if re.search(rf"\b{name[5:]}\b", plain)]
    groups = {name.split()[1] for name in COMMANDS if len(name.split()) > 2}
    assert called or groups & set(words), f"{where}: no such command"
    known = options(cli).union(*(options(COMMANDS[name]) for name in called))
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}, f"{where}: no such option"
