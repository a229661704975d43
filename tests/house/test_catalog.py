"""The catalogue of statements: the same names on both engines, each used, each with its contract.

Which statements an operation makes, and with which parameters, is recorded by starting it on
canned rows: no database is needed to see that every parameter is bound.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dibs.errors import DibsError
from dibs.store import ops
from dibs.store.catalog import MIGRATION, PARAM, load, migrations, parse
from dibs.store.postgres_script import encode as postgres_encode
from dibs.store.sqlite_script import make_script
from dibs.store.statement import Operation, Row, Rows, Statement
from tests.house.samples import CANNED, ENGINES, OTHERS, SAMPLES

ONLY_SQLITE = {"watch_probe"}
"""PostgreSQL tells by NOTIFY what SQLite has to be asked."""

OTHER = {
    "sqlite": {("job_claim", "lines"), ("queue_lines", "marks")},
    "postgres": {("job_claim", "ids")},
}
"""What is only for the other engine: a claim takes the very heads that it saw on SQLite, and so
many from each line on PostgreSQL, whose index still holds what was claimed before."""

SQL = Path(inspect.getfile(ops)).parents[1] / "sql"
FILES = sorted(SQL.rglob("*.sql"))
OWN_FILES = [file for file in FILES if file.parent.name in ENGINES]
STATEMENTS = [
    (file, name, contract) for file in FILES for name, contract, _ in parse(file.read_text("utf-8"))
]


def record(operation: Operation[Any]) -> Iterator[Statement]:
    steps = operation.steps()
    rows: list[Row] | None = None
    while True:
        try:
            statement = next(steps) if rows is None else steps.send(rows)
        except (StopIteration, DibsError):
            return
        yield statement
        ids, reads = statement.params.get("ids"), statement.name == "jobs_load"
        others = [OTHERS[id_] for id_ in ids or () if id_ in OTHERS] if reads else []
        rows = others or CANNED.get(statement.name, [])


RECORDED = [statement for sample in SAMPLES for statement in record(sample)]


def bound(engine: str, statement: Statement) -> dict[str, Any]:
    if engine == "postgres":
        return {"now": 0, **postgres_encode(statement.params)}
    return make_script(lambda: 0).encode(statement.params)


def test_a_sample_starts_every_operation():
    modules = [
        importlib.import_module(f"{ops.__name__}.{module.name}")
        for module in pkgutil.iter_modules(ops.__path__)
    ]
    operations = {
        name
        for module in modules
        for name, value in vars(module).items()
        if hasattr(value, "__wrapped__") and value.__module__ == module.__name__
    }
    assert operations - {sample.name for sample in SAMPLES} == set()


class TestNames:
    def test_are_the_same_on_both_engines_but_for_one(self):
        sqlite, postgres = (set(load(engine)) for engine in ENGINES)
        assert postgres - sqlite == set()
        assert sqlite - postgres == ONLY_SQLITE
        assert [name for file, name, _ in STATEMENTS if file.name == "watch.sql"] == ["watch_probe"]

    def test_stand_in_files_of_the_same_name(self):
        names = {engine: {file.name for file in (SQL / engine).iterdir()} for engine in ENGINES}
        assert names["sqlite"] - names["postgres"] == {"watch.sql"}
        assert names["postgres"] - names["sqlite"] == set()

    def test_stand_in_one_file_of_an_engine_only(self):
        for engine in ENGINES:
            seen = [name for file, name, _ in STATEMENTS if file.parent.name in {engine, "shared"}]
            assert len(seen) == len(set(seen))

    def test_are_all_used(self):
        used = {statement.name for statement in RECORDED}
        assert {name for _, name, _ in STATEMENTS} - used == set()

    def test_are_all_there(self):
        known = set(load("sqlite")) | set(load("postgres"))
        assert {statement.name for statement in RECORDED} - known == set()


@pytest.mark.parametrize("engine", ENGINES)
class TestParameters:
    def test_are_all_bound(self, engine: str):
        for statement in RECORDED:
            given = set(bound(engine, statement))
            for step in load(engine).get(statement.name, ()):
                assert step.params <= given, statement.name
                given |= {step.keep} if step.keep else set()

    def test_are_all_used(self, engine: str):
        for statement in RECORDED:
            steps = load(engine).get(statement.name, ())
            used = {name for step in steps for name in step.params}
            mine = {
                k: v
                for k, v in statement.params.items()
                if (statement.name, k) not in OTHER[engine]
            }
            unused = set(bound(engine, replace(statement, params=mine))) - used - {"now"}
            assert not steps or not unused, f"{statement.name} ignores {unused}"

    def test_what_a_step_keeps_is_used_by_a_later_one(self, engine: str):
        for name, steps in load(engine).items():
            for place, step in enumerate(steps):
                later = {param for after in steps[place + 1 :] for param in after.params}
                assert step.keep is None or step.keep in later, name

    def test_no_colon_is_left_that_looks_like_one(self, engine: str):
        # A placeholder inside a quoted text would be replaced there too.
        for name, steps in load(engine).items():
            for text in (text for step in steps for text in re.findall(r"'[^']*'", step.sql)):
                assert name.startswith("migration_") or not PARAM.search(text), name


def test_sqlite_takes_every_column_of_a_table():
    for statement in RECORDED:
        for param, value in statement.params.items():
            if isinstance(value, Rows) and (statement.name, param) not in OTHER["sqlite"]:
                sql = "\n".join(step.sql for step in load("sqlite")[statement.name])
                assert f"json_each(:{param})" in sql
                taken = {int(place) for place in re.findall(r"'\$\[(\d+)\]'", sql)}
                assert taken == set(range(len(value.columns))), statement.name


def test_percent_signs_are_the_driver_s_alone():
    # psycopg reads them as placeholders wherever a statement has parameters.
    for name, steps in load("postgres").items():
        assert not [step for step in steps if step.params and "%" in step.sql], name


@pytest.mark.parametrize(("file", "name", "contract"), STATEMENTS)
def test_every_statement_has_a_contract(file: Path, name: str, contract: str):
    assert contract.endswith("."), f"{file.name}, {name}: a sentence says what it does"


@pytest.mark.parametrize("file", OWN_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_override_says_why_it_differs(file: Path):
    other = {"sqlite": "PostgreSQL", "postgres": "SQLite"}[file.parent.name]
    why = "Only here: " if file.name == "watch.sql" else f"Differs from {other}: "
    first = file.read_text("utf-8").splitlines()[0]
    assert first.startswith(f"-- {why}")
    assert len(first) > len(why) + 20


class TestMigrations:
    def test_have_the_same_numbers_and_names(self):
        sqlite, postgres = (
            [(number, name) for number, name, _ in migrations(engine)] for engine in ENGINES
        )
        assert sqlite == postgres

    def test_are_numbered_without_a_gap(self):
        numbers = [number for number, _, _ in migrations("sqlite")]
        assert numbers == list(range(1, len(numbers) + 1))

    def test_are_in_the_catalogue(self):
        for engine in ENGINES:
            assert all(
                MIGRATION.format(number) in load(engine) for number, _, _ in migrations(engine)
            )

    def test_make_the_same_tables_with_the_same_columns(self):
        sqlite, postgres = (dict(tables(engine)) for engine in ENGINES)
        # Its partitions are PostgreSQL's own.
        assert sqlite == {name: columns for name, columns in postgres.items() if columns}


def tables(engine: str) -> Iterator[tuple[str, list[str]]]:
    for _, _, text in migrations(engine):
        for found in re.finditer(r"^CREATE TABLE (\w+) (?:\((.*?)^\)|PART)", text, re.M | re.S):
            columns = re.findall(r"^ {4}([a-z]\w*) ", found[2] or "", re.M)
            yield found[1], columns
