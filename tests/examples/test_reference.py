"""The reference says what the code says: defaults, errors, events, tables, transitions."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sqlite3
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import dibs
from dibs import (
    Aging,
    Backoff,
    Check,
    Dibs,
    Explanation,
    Limit,
    Retention,
    Retry,
    Unique,
    Verdict,
    errors,
)
from dibs.client.handler import Handler
from dibs.client.jobs import Jobs
from dibs.client.options import Overrides
from dibs.client.queues import Queues
from dibs.model.job import DeadReason, State
from dibs.model.lifecycle import TRANSITIONS
from dibs.worker.worker import Worker
from tests.examples.events import events, loop_names
from tests.examples.pages import ROOT, blocks, code, inline_code, prose, tables

SOURCE = ROOT / "src/dibs"
DOCS = ROOT / "docs"

# --- Configuration --------------------------------------------------------------------------

CONFIGURATION = tables(DOCS / "reference/configuration.md")
CALLS = {
    "`Dibs(…)`": Dibs,
    "`@app.job(…)`": Dibs.job,
    "`Retry(…)`": Retry,
    "`Backoff.exponential(…)`": Backoff.exponential,
    "`Backoff.fixed(…)`": Backoff.fixed,
    "`Backoff.linear(…)`": Backoff.linear,
    "`Unique(…)`": Unique,
    "`Limit(…)`": Limit,
    "`Aging(…)`": Aging,
    "`app.queues.configure(…)`": Queues.configure,
    "`Retention(…)`": Retention,
    "`app.queues.pause(…)`": Queues.pause,
    "`app.jobs.reschedule(…)`": Jobs.reschedule,
    "`@app.schedule(…)`": Dibs.schedule,
    "`app.worker(…)`": Dibs.worker,
    "`worker.run(…)`": Worker.run,
}


@pytest.mark.parametrize("heading", CALLS)
def test_configuration_names_every_option_with_its_default(heading: str):
    parameters = inspect.signature(CALLS[heading]).parameters.values()
    apart = {"self", "function", "options"}
    wanted = {p.name: p.default for p in parameters if p.name not in apart}
    found = {
        code(name): eval(code(default), {**vars(dibs), "timedelta": timedelta})
        if default
        else inspect.Parameter.empty
        for name, _, default, _ in CONFIGURATION[heading]
    }
    assert found == wanted


def test_configuration_names_every_override():
    parameters = inspect.signature(Handler.using).parameters.values()
    own = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    found = {code(row[0]) for row in CONFIGURATION["`handler.using(…)`"]}
    assert found == own | set(Overrides.__annotations__)


def test_configuration_names_every_environment_variable():
    used = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r"""["'](DIBS_[A-Z_]+)["']""", path.read_text("utf-8"))
    }
    assert {code(row[0]) for row in CONFIGURATION["Environment"]} == used


# --- Errors ---------------------------------------------------------------------------------


def test_errors_are_drawn_as_in_the_code():
    assert blocks(DOCS / "reference/errors.md")[0].text.rstrip() in (errors.__doc__ or "")


def test_errors_are_all_explained():
    rows = tables(DOCS / "reference/errors.md")["Errors"]
    known = {
        name: error
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.DibsError)
    }
    assert {code(row[0]) for row in rows} == set(known)
    assert set(known) <= set(dibs.__all__)
    for name, also, *_ in rows:
        bases = known[code(name)].__bases__
        assert [b.__name__ for b in bases if b.__module__ == "builtins" and b is not Exception] == (
            [code(also)] if also else []
        )


# --- Events ---------------------------------------------------------------------------------

EVENTS = [row for rows in tables(DOCS / "reference/events.md").values() for row in rows]


def test_every_documented_event_is_logged_and_every_logged_one_documented():
    documented = {code(row[0]) for row in EVENTS}
    patterns = {pattern for pattern, _ in events(SOURCE)}
    assert patterns
    unknown = {name for name in documented if not any(re.fullmatch(p, name) for p in patterns)}
    assert not unknown, "documented, but never logged"
    missing = {p for p in patterns if not any(re.fullmatch(p, name) for name in documented)}
    assert not missing, "logged, but not documented"
    assert {f"{name}_failed" for name in loop_names()} <= documented


def test_documented_events_have_the_fields_that_are_logged():
    documented: dict[str, set[str]] = {}
    for row in EVENTS:
        documented.setdefault(code(row[0]), set()).update(re.findall(r"`(\w+)`", row[2]))
    for pattern, fields in events(SOURCE):
        for name, known in documented.items():
            if re.fullmatch(pattern, name):
                assert fields <= known, f"{name} has undocumented fields"


# --- Tables ---------------------------------------------------------------------------------


def test_tables_are_those_of_the_schema(tmp_path: Path):
    app = Dibs(f"sqlite:///{tmp_path / 'schema.db'}")
    app.migrate()
    app.close()
    connection = sqlite3.connect(tmp_path / "schema.db")
    names = "SELECT name FROM sqlite_schema WHERE name LIKE 'dibs_%' AND type IN ('table', 'view')"
    schema = {
        name: [row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})")]
        for (name,) in connection.execute(names).fetchall()
    }
    connection.close()
    page = tables(DOCS / "reference/schema.md")
    relations = {code(row[0]) for row in page.pop("Tables")}
    assert relations == set(schema)
    documented = {head.strip("`"): [code(row[0]) for row in rows] for head, rows in page.items()}
    assert documented == schema


# --- States ---------------------------------------------------------------------------------

STATES = tables(DOCS / "explanation/states.md")


def states(cell: str) -> frozenset[Any]:
    return frozenset(State(name) for name in re.findall(r"[a-z]+", cell))


def test_states_and_transitions_are_those_of_the_model():
    assert [code(row[0]) for row in STATES["The states of a job"]] == list(State)
    found = {
        code(verb): (states(start), states(end))
        for verb, start, end, *_ in STATES["Every transition"]
    }
    assert found == TRANSITIONS
    assert [code(row[0]) for row in STATES["Why a job is dead"]] == list(DeadReason)


def test_states_are_drawn_as_in_the_model():
    import dibs.model.lifecycle as module

    assert blocks(DOCS / "explanation/states.md")[0].text.rstrip() in (module.__doc__ or "")


# --- Explanations ---------------------------------------------------------------------------


def test_explanations_are_those_of_the_code():
    rows = tables(DOCS / "howto/explain.md")["As data"]
    head = next(n for n, row in enumerate(rows) if row[0] == "verdict")
    fields = [name for row in rows[:head] for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(fields) == sorted(field.name for field in dataclasses.fields(Explanation))
    assert [code(row[0]) for row in rows[head + 2 :]] == list(Verdict)


# --- The doctor ------------------------------------------------------------------------------


def test_what_the_doctor_looks_at_is_that_of_the_code():
    rows = tables(DOCS / "howto/doctor.md")["What is looked at"]
    assert [code(row[0]) for row in rows] == list(Check)
    for name, _, warns, fails, advice in rows:
        assert warns or fails, name
        assert advice, name


# --- The map of the code --------------------------------------------------------------------


def test_import_rules_are_those_that_are_checked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    checked = [re.findall(r"\w+", layer) for layer in layers]
    for page in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        rule = re.search(r"cli → [\w→,\s]*errors", prose(ROOT / page))
        assert rule, f"{page} does not tell who may import whom"
        told = [re.findall(r"\w+", layer) for layer in rule[0].split("→")]
        assert told == checked, page


@pytest.mark.parametrize("page", [ROOT / "ARCHITECTURE.md", *sorted((DOCS / "adr").glob("*.md"))])
def test_named_files_exist(page: Path):
    for name in inline_code(page):
        if re.fullmatch(r"[a-z][\w/]*/(\w+\.(py|sql|md))?|\w+\.py", name):
            found = [
                base for base in (ROOT, SOURCE, SOURCE / "store/sql") if (base / name).exists()
            ]
            assert found, f"{page.name} names {name}, which is not there"


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("0*.md")), ids=lambda page: page.stem)
def test_decisions_have_one_shape(page: Path):
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {page.name[:4]}: ")
    assert len(text.splitlines()) <= 40
    assert f"({page.name})" in prose(DOCS / "adr/README.md")
