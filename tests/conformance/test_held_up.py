"""PostgreSQL answers, but others are in the way: it is said who, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import psycopg
import pytest

from dibs import Dibs, StoreUnavailableError, Unique
from dibs.store import Role, postgres_driver
from tests.conformance.conftest import OpenFace
from tests.conformance.face import Face, faces
from tests.support.waiting import eventually

WAITING = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
MIGRATING = "SELECT pg_advisory_xact_lock(7235441970186)"
DEADLOCKED = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION lose() RETURNS trigger AS $$ BEGIN
        PERFORM nextval('tries');
        RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
    END $$ LANGUAGE plpgsql;
    CREATE TRIGGER lose BEFORE INSERT ON dibs_jobs FOR EACH ROW EXECUTE FUNCTION lose();
"""


def note(text: str = "") -> None: ...


@pytest.fixture
def open_face(mode: str, postgres_url: str) -> Iterator[Callable[[str], Face]]:
    """Open faces of an app on the database, with a setting of the server in the URL."""
    app = Dibs(postgres_url)
    app.migrate()
    app.close()
    with faces(mode) as make:
        yield lambda setting: make(f"{postgres_url}?options=-c%20{quote(setting)}")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("lock_timeout=200ms", r"kept .* locked for too long \(.*lock timeout\); end it"),
        ("statement_timeout=200ms", r"ended a statement .*\(.*statement timeout\); try again"),
    ],
)
def test_by_a_key_in_an_open_transaction(
    open_face: OpenFace, postgres_url: str, setting: str, said: str
):
    face = open_face(setting)
    handler = face.handler(note, unique=Unique())
    other = Dibs(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        theirs = other.job(unique=Unique())(note).using(connection=connection).enqueue("a")
        with pytest.raises(StoreUnavailableError, match=said) as raised:
            handler.enqueue("a")
        assert "cannot be reached" not in str(raised.value)
    assert handler.enqueue("a").id == theirs.id
    other.close()


@pytest.mark.parametrize("role", Role)
def test_the_server_gives_up_first(postgres_url: str, role: Role):
    """Otherwise nobody would say what was waited for, and other connections would be closed."""
    pool = postgres_driver.open_pool(postgres_url, role)
    with pool, pool.connection() as connection:
        cursor = connection.execute(
            "SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'"
        )
        [(limit,)] = cursor.fetchall()
    assert 0 < limit / 1000 <= postgres_driver.ANSWER_SECONDS[role] - 5


def test_by_another_migration_for_as_long_as_it_takes(postgres_url: str):
    app = Dibs(f"{postgres_url}?options=-c%20lock_timeout%3D50ms")
    ran: list[object] = []
    thread = threading.Thread(target=lambda: ran.append(app.migrate()))
    with psycopg.connect(postgres_url) as other:
        other.execute(MIGRATING)
        thread.start()
        eventually(lambda: other.execute(WAITING).fetchone() == (1,), "the migration to wait")
        time.sleep(0.2)  # longer than the limit, which has to be without effect
        assert other.execute(WAITING).fetchone() == (1,)
    thread.join(30)
    assert ran
    app.close()


def test_by_deadlocks_again_and_again(open_face: OpenFace, postgres_url: str):
    face = open_face("lock_timeout=10s")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(DEADLOCKED)
        with pytest.raises(StoreUnavailableError, match=r"3 times in a row .*deadlock detected"):
            face.handler(note).enqueue()
        assert connection.execute("SELECT last_value FROM tries").fetchone() == (3,)
