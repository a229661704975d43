"""The catalogue: every SQL statement by name, read from the `.sql` files beside this module.

`sql/shared/` holds the statements both engines can run; `sql/sqlite/` and `sql/postgres/` hold
those that differ, each with a line saying why. A statement begins with

    -- name: job_claim
    -- One line or more: its contract.

and has `:param` placeholders. `:now` is the time: the runner binds it, or the engine replaces it
by the database's clock. A name is one contract, but an engine may need several statements to
fulfil it: they stand one after the other, each ended by a semicolon, and run in one transaction
with the same parameters. `-- keep: picked` above one of them binds the first column of its rows
as `:picked` for those that follow. The rows of the last one are the rows of the name.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PARAM = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")
_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_KEEP = re.compile(r"^-- keep: (\w+)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")
MIGRATION = "migration_{:04d}"
"""The catalogue's name for a migration by its number."""


@dataclass(frozen=True, slots=True)
class Step:
    """One SQL text of a name, ready for the engine's driver."""

    sql: str
    params: frozenset[str]
    """The parameters that it uses."""
    keep: str | None = None
    """Bind the first column of its rows under this name for the steps that follow."""


Catalog = dict[str, tuple[Step, ...]]


def parse(text: str) -> Iterator[tuple[str, str, list[Step]]]:
    """Yield (name, contract, steps) for every statement in the text of a `.sql` file."""
    heads = list(_NAME.finditer(text))
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.end() : following.start() if following else len(text)]
        first_sql = next(i for i, line in enumerate(body.splitlines()) if line and line[:2] != "--")
        lines = body.splitlines()[:first_sql]
        contract = " ".join(line[2:].strip() for line in lines if "keep:" not in line).strip()
        yield head[1], contract, list(_steps(body))


def _steps(body: str) -> Iterator[Step]:
    keep = None
    lines: list[str] = []
    for line in body.splitlines():
        if directive := _KEEP.match(line):
            keep = directive[1]
        elif line.strip() and not line.startswith("--"):
            lines.append(line)
            if line.endswith(";"):
                sql = "\n".join(lines).removesuffix(";")
                yield Step(sql, frozenset(PARAM.findall(sql)), keep)
                keep, lines = None, []


@cache
def load(engine: str) -> Catalog:
    """Return the statements of an engine: the shared ones and its own, which win."""
    root = files("dibs.store") / "sql"
    statements: Catalog = {}
    for folder in ("shared", engine):
        for file in sorted((root / folder).iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".sql"):
                for name, _, steps in parse(file.read_text("utf-8")):
                    statements[name] = tuple(steps)
    for number, _, text in migrations(engine):
        statements[MIGRATION.format(number)] = tuple(_migration_steps(engine, text))
    return statements


@cache
def migrations(engine: str) -> tuple[tuple[int, str, str], ...]:
    """Return (number, name, text) of an engine's migrations, in order."""
    folder = files("dibs.store") / "migrations" / engine
    found = []
    for file in folder.iterdir():
        number, _, rest = file.name.partition("_")
        found.append((int(number), rest.removesuffix(".sql"), file.read_text("utf-8")))
    return tuple(sorted(found))


def _migration_steps(engine: str, text: str) -> Iterator[Step]:
    """Split a migration where its driver takes one statement at a time, as sqlite3 does."""
    if engine == "postgres":
        yield Step(text, frozenset())
        return
    pending = ""
    for piece in _COMMENT.sub("", text).split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending) and pending.strip() != ";":
            yield Step(pending.strip(), frozenset())
            pending = ""


@cache  # every store has need of it
def compiled(engine: str, now: str | None, placeholder: Callable[[str], str]) -> Catalog:
    """Return an engine's catalogue in its driver's own placeholder style.

    Args:
        engine: `sqlite` or `postgres`.
        now: SQL for the database's clock, or None to bind `:now` as a parameter.
        placeholder: the driver's placeholder for a parameter's name.
    """

    def convert(step: Step) -> Step:
        params = step.params if now is None else step.params - {"now"}
        if not params and "now" not in step.params:
            return step
        sql = PARAM.sub(
            lambda hit: now if hit[1] == "now" and now is not None else placeholder(hit[1]),
            step.sql,
        )
        return Step(sql, params, step.keep)

    return {name: tuple(map(convert, steps)) for name, steps in load(engine).items()}
