"""The doctor on PostgreSQL: what holds back its clean-up, dead rows, autovacuum, connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from dibs import Check, Dibs, Finding, Level
from dibs.doctor import server
from dibs.testing import PostgresCluster
from tests.conformance.spies import raw
from tests.support.waiting import eventually


@pytest.fixture
def app(postgres_url: str) -> Iterator[Dibs]:
    app = Dibs(postgres_url)
    app.migrate()
    yield app
    app.close()


def the(app: Dibs, code: Check) -> Finding:
    [finding] = [finding for finding in app.doctor().findings if finding.code is code]
    return finding


@contextmanager
def writing(url: str, name: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Have a transaction open that has written."""
    with psycopg.connect(url, application_name=name) as connection:
        connection.execute("CREATE TEMPORARY TABLE mine (n integer)")
        connection.execute("SELECT pg_current_xact_id()")
        yield connection
        connection.rollback()


class TestHorizon:
    def test_a_transaction_left_open(
        self, app: Dibs, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        with writing(postgres_url, "report") as connection:
            assert the(app, Check.HORIZON).level is Level.OK  # it is young
            monkeypatch.setattr(server, "OLD", 1)
            found = the(app, Check.HORIZON)
            assert found.level is Level.WARNING
            pid = connection.info.backend_pid
            assert f"process {pid} (report, idle in transaction)" in found.message
            assert f"pg_terminate_backend({pid})" in found.advice
            monkeypatch.setattr(server, "VERY_OLD", 1)
            assert the(app, Check.HORIZON).level is Level.PROBLEM
        assert the(app, Check.HORIZON).level is Level.OK

    def test_one_that_has_only_read_a_snapshot(
        self, app: Dibs, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(server, "OLD", 1)
        with psycopg.connect(postgres_url, application_name="dump") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT 1")
            assert "(dump, " in the(app, Check.HORIZON).message
        # Another database's transactions hold back nothing here.
        server_url = postgres_url.rpartition("/")[0]
        with writing(f"{server_url}/postgres", "elsewhere"):
            assert the(app, Check.HORIZON).level is Level.OK

    def test_a_prepared_transaction(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(server, "OLD", 1)
        settings = {"fsync": "off", "max_prepared_transactions": "2"}
        with PostgresCluster(settings=settings) as cluster:
            app = Dibs(cluster.create_database())
            app.migrate()
            url = str(app.url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("BEGIN")
                connection.execute("SELECT pg_current_xact_id()")
                connection.execute("PREPARE TRANSACTION 'forgotten'")
            found = the(app, Check.HORIZON)
            assert "prepared transaction 'forgotten' of postgres" in found.message
            assert found.advice.startswith("end it: ROLLBACK PREPARED 'forgotten'")
            raw(url, "ROLLBACK PREPARED 'forgotten'")
            assert the(app, Check.HORIZON).level is Level.OK
            app.close()

    @pytest.mark.usefixtures("app")
    def test_who_may_not_see_is_told_so(self, postgres_url: str):
        name = f"blind_{postgres_url.rpartition('_')[2]}"
        raw(postgres_url, f"CREATE ROLE {name} LOGIN")
        try:
            raw(postgres_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
            blind = Dibs(postgres_url.replace("postgres@", f"{name}@"))
            found = the(blind, Check.HORIZON)
            assert "transactions of other users are hidden" in found.message
            blind.close()
        finally:
            raw(postgres_url, f"DROP OWNED BY {name}")
            raw(postgres_url, f"DROP ROLE {name}")


class TestCleaning:
    def test_dead_rows(self, app: Dibs, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(server, "DEAD", 500)
        raw(postgres_url, "ALTER TABLE dibs_notes SET (autovacuum_enabled = false)")
        many = "INSERT INTO dibs_notes (job_id, written_at, note) SELECT n, 0, '' FROM "
        raw(postgres_url, many + "generate_series(1, 1000) AS n")
        raw(postgres_url, "DELETE FROM dibs_notes")
        found = eventually(
            lambda: f if (f := the(app, Check.DEAD_ROWS)).level is not Level.OK else None,
            "the server's statistics",
            every=0.1,
        )
        assert found is not None
        assert found.level is Level.WARNING
        assert found.message == "dibs_notes has 1,000 dead rows beside 0 live ones"
        assert found.advice.endswith("VACUUM dibs_notes")
        monkeypatch.setattr(server, "VERY_DEAD", 1000)
        assert the(app, Check.DEAD_ROWS).level is Level.PROBLEM

    def test_autovacuum_off_for_a_table(self, app: Dibs, postgres_url: str):
        raw(postgres_url, "ALTER TABLE dibs_ready SET (autovacuum_enabled = off)")
        found = the(app, Check.AUTOVACUUM)
        assert found.level is Level.PROBLEM
        assert "off for dibs_ready" in found.message
        raw(postgres_url, found.advice)
        assert the(app, Check.AUTOVACUUM).level is Level.OK

    def test_autovacuum_off_and_no_connections_left(self):
        settings = {"fsync": "off", "autovacuum": "off", "max_connections": "10"}
        with PostgresCluster(settings=settings) as cluster:
            app = Dibs(cluster.create_database())
            app.migrate()
            found = the(app, Check.AUTOVACUUM)
            assert (found.level, "autovacuum is off" in found.message) == (Level.PROBLEM, True)
            assert the(app, Check.CONNECTIONS).level is Level.OK
            app.close()
            held = [psycopg.connect(str(app.url)) for _ in range(5)]
            found = the(app, Check.CONNECTIONS)
            assert (found.level, found.message) == (
                Level.WARNING, "6 of 7 connections are in use",
            )  # fmt: skip
            held.append(psycopg.connect(str(app.url)))
            found = the(app, Check.CONNECTIONS)
            assert (found.level, "pooler" in found.advice) == (Level.PROBLEM, True)
            for connection in held:
                connection.close()


def test_a_server_s_disk_is_not_checked(app: Dibs):
    found = the(app, Check.DISK)
    assert found.level is Level.OK
    assert "is not checked" in found.message
