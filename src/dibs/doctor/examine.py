"""Look everything over; what cannot be read is a finding, not an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

from dibs.doctor.files import check_file, check_folder
from dibs.doctor.finding import SEVERITY, Check, Diagnosis, Finding, ok, problem
from dibs.doctor.server import check_server
from dibs.doctor.work import check_work
from dibs.errors import DibsError
from dibs.model.times import from_micros
from dibs.store import Clock, Store
from dibs.store.migrate import newest
from dibs.store.ops.doctor import Facts, doctor_look


def examine(store: Store, clock: Clock | None) -> Diagnosis:
    """Return what is to be said of a database and its workers; change nothing.

    Args:
        store: the database; it is read on a connection of its own.
        clock: this process's, in microseconds; None for the system's.
    """
    wall = clock or (lambda: time.time_ns() // 1000)
    began = wall()
    findings = list(chain.from_iterable(_look(store, wall, began)))
    findings.sort(key=lambda finding: SEVERITY.index(finding.level))
    return Diagnosis(from_micros(began), store.url.display, findings)


def _look(store: Store, wall: Clock, began: int) -> Iterator[Iterator[Finding]]:
    needed = newest(store.url.engine)
    if store.url.file is not None:
        yield check_folder(store.url.file)
    try:
        facts = store.examine(doctor_look(needed))
    except DibsError as error:
        yield iter([problem(Check.DATABASE, str(error), UNREACHABLE)])
        return
    yield iter([ok(Check.DATABASE, f"{store.url.display} can be reached")])
    yield _schema(facts, needed)
    if store.url.file is not None:
        yield check_file(store.url.file, facts.settings)
    else:
        yield check_server(facts)
    if facts.version == needed:
        yield check_work(facts, _apart(began, facts.now, wall()))


UNREACHABLE = (
    "see that the URL is right, that the server runs or the file is there, and that this machine "
    "and user may use it"
)


def _apart(began: int, there: int, ended: int) -> int:
    """Return by how much this clock differs at least from the one that was read in between."""
    return began - there if there < began else min(ended - there, 0)


def _schema(facts: Facts, needed: int) -> Iterator[Finding]:
    told = f"this dibs needs version {needed}"
    if facts.version == needed:
        yield ok(Check.SCHEMA, f"the tables are at version {needed}, the one this dibs needs")
    elif not facts.version:
        yield problem(
            Check.SCHEMA, f"there are no tables of dibs; {told}",
            "make them: dibs migrate (or app.migrate())",
        )  # fmt: skip
    elif facts.version < needed:
        yield problem(
            Check.SCHEMA, f"the tables are at version {facts.version}; {told}",
            "upgrade them: dibs migrate (or app.migrate()); stop workers of older versions first",
        )  # fmt: skip
    else:
        yield problem(
            Check.SCHEMA, f"the tables are at version {facts.version}; {told}",
            "upgrade dibs here: pip install -U dibs",
        )  # fmt: skip
