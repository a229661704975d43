"""The tables come into being once, whoever comes first, and code never works on newer ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dibs.errors import SchemaError, StoreError
from dibs.model.job import NewJob, State
from dibs.model.lifecycle import Finish
from dibs.model.lines import Demand, Serving
from dibs.store import Role, Store, open_store
from dibs.store.catalog import migrations
from dibs.store.ops.claim import job_claim
from dibs.store.ops.enqueue import job_enqueue
from dibs.store.ops.jobs import job_get
from dibs.store.ops.settle import job_settle
from tests.support.database import query
from tests.support.together import together

PROCESSES = 20
MIGRATIONS = [f"{number:04d}_{name}" for number, name, _ in migrations("sqlite")]
NEWEST = migrations("sqlite")[-1][0]
TOGETHER = """
import json, sys
from dibs.store import Role, open_store
from dibs.store.ops.workers import job_due

store = open_store(sys.argv[1], Role[sys.argv[2]])
print("here", flush=True)
sys.stdin.read()  # until all are here
try:
    print(json.dumps({what}))
finally:
    store.close()
"""
FIRST_USE = "[store.run(job_due())]"


def all_at_once(url: str, folder: Path, what: str) -> list[object]:
    """Have many processes evaluate `what` at the same moment; return what each found."""
    roles = [*Role] * (PROCESSES // len(Role))
    said = together(TOGETHER.format(what=what), folder, [[url, role.name] for role in roles])
    return [json.loads(words) for words in said]


def works(store: Store) -> bool:
    [stored] = store.run(job_enqueue([NewJob("mail", "{}")]))
    [job] = store.run(job_claim("w", Serving(("default",)), ["mail"], Demand(1))).jobs
    store.run(job_settle([Finish(job.ticket, State.COMPLETED)]))
    return store.run(job_get(stored.id)).state is State.COMPLETED


def versions(url: str) -> list[int]:
    return [row[0] for row in query(url, "SELECT version FROM dibs_migrations ORDER BY version")]


def pretend_newer(url: str) -> None:
    query(
        url,
        "INSERT INTO dibs_migrations (version, name, applied_at) VALUES (9999, 'the_future', 0)",
    )


def test_many_processes_at_once_leave_one_good_schema(database_url: str, tmp_path: Path):
    ran = all_at_once(database_url, tmp_path, "store.migrate()")
    assert Counter(map(str, ran)) == {str(MIGRATIONS): 1, "[]": PROCESSES - 1}
    assert versions(database_url) == list(range(1, NEWEST + 1))
    with open_store(database_url, Role.WORKER) as store:
        assert store.migrate() == []
        assert works(store)


def test_many_processes_at_once_may_be_the_first_to_use_a_file(sqlite_url: str, tmp_path: Path):
    assert all_at_once(sqlite_url, tmp_path, FIRST_USE) == [[None]] * PROCESSES
    assert versions(sqlite_url) == list(range(1, NEWEST + 1))


def test_migrating_again_keeps_what_is_there(database_url: str):
    with open_store(database_url, Role.PRODUCER) as store:
        assert store.migrate() == MIGRATIONS
        [stored] = store.run(job_enqueue([NewJob("mail", '{"to": "ann"}')]))
        assert store.migrate() == []
        assert store.run(job_get(stored.id)).args == {"to": "ann"}


@pytest.mark.parametrize("role", Role)
def test_newer_tables_are_refused(database_url: str, role: Role):
    with open_store(database_url, role) as store:
        store.migrate()
    pretend_newer(database_url)
    newer = rf"version 9999.* knows only {NEWEST}; upgrade dibs"

    with open_store(database_url, role) as store:
        with pytest.raises(SchemaError, match=newer):
            store.run(job_enqueue([NewJob("mail", "{}")]))
        with pytest.raises(SchemaError, match=newer):
            store.migrate()
    assert query(database_url, "SELECT COUNT(*) FROM dibs_jobs") == [(0,)]
    assert versions(database_url) == [*range(1, NEWEST + 1), 9999]


def test_the_refusal_shows_no_password(postgres_url: str):
    with open_store(postgres_url, Role.PRODUCER) as store:
        store.migrate()
    pretend_newer(postgres_url)
    secret = postgres_url.replace("postgres@", "postgres:secret@")
    with (
        open_store(secret, Role.PRODUCER) as store,
        pytest.raises(SchemaError, match=r"postgres:\*\*\*@") as caught,
    ):
        store.migrate()
    assert "secret" not in str(caught.value)


def test_postgres_without_tables_says_what_to_do(postgres_url: str):
    with open_store(postgres_url, Role.PRODUCER) as store:
        with pytest.raises(SchemaError, match=rf"no dibs tables.*version {NEWEST}.*dibs migrate"):
            store.run(job_enqueue([NewJob("mail", "{}")]))
        assert query(postgres_url, "SELECT COUNT(*) FROM pg_stat_user_tables") == [(0,)]
        store.migrate()
        assert works(store)


def test_sqlite_makes_its_tables_at_first_use(sqlite_url: str):
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    with open_store(sqlite_url, Role.PRODUCER) as store:
        assert not file.exists()
        assert works(store)
    assert versions(sqlite_url) == list(range(1, NEWEST + 1))


def test_a_store_that_was_closed_looks_again(database_url: str):
    with open_store(database_url, Role.PRODUCER) as store:
        store.migrate()
        assert works(store)
        store.close()
        pretend_newer(database_url)
        with pytest.raises(SchemaError, match="9999"):
            store.run(job_enqueue([NewJob("mail", "{}")]))


def test_a_migration_that_breaks_leaves_nothing(database_url: str):
    query(database_url, "CREATE TABLE dibs_blocked (taken INTEGER)")  # in the way of the first
    with open_store(database_url, Role.PRODUCER) as store:
        with pytest.raises(StoreError, match="already exists"):
            store.migrate()
        query(database_url, "DROP TABLE dibs_blocked")
        assert store.migrate() == MIGRATIONS
        assert works(store)
