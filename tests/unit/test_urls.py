"""Database URLs: which engine, which file or server, and never a password where people look."""

from pathlib import Path

import pytest

from dibs.errors import ConfigurationError
from dibs.store.urls import parse_url


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIBS_URL", raising=False)
    return Path.cwd()


class TestSqlite:
    def test_three_slashes_are_relative(self, somewhere: Path):
        url = parse_url("sqlite:///data/shop.db")
        assert (url.engine, url.target) == ("sqlite", str(somewhere / "data/shop.db"))
        assert url.display == "sqlite:///data/shop.db"

    def test_four_slashes_are_absolute(self):
        assert parse_url("sqlite:////var/lib/shop.db").target == "/var/lib/shop.db"

    def test_percent_signs_stand_for_other_characters(self, somewhere: Path):
        assert parse_url("sqlite:///my%20shop.db").target == str(somewhere / "my shop.db")

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://shop.db"])
    def test_a_file_must_be_named(self, url: str):
        with pytest.raises(ConfigurationError, match="names no file; expected sqlite:///"):
            parse_url(url)

    def test_memory_is_refused(self):
        with pytest.raises(ConfigurationError, match="can't be shared with workers; use a file"):
            parse_url("sqlite:///:memory:")


class TestDefault:
    def test_a_file_here(self, somewhere: Path):
        assert parse_url(None).target == str(somewhere / "dibs.db")

    def test_the_environment_wins(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DIBS_URL", "postgresql:///shop")
        assert parse_url(None).target == "postgresql:///shop"

    def test_an_argument_wins_over_both(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("DIBS_URL", "postgresql:///shop")
        assert parse_url("sqlite:////a.db").target == "/a.db"


class TestPostgres:
    @pytest.mark.parametrize(
        "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"]
    )
    def test_every_usual_scheme(self, scheme: str):
        url = parse_url(f"{scheme}://ann@db.example:5433/shop?sslmode=require")
        target = "postgresql://ann@db.example:5433/shop?sslmode=require"
        assert (url.engine, url.target, url.display) == ("postgres", target, target)

    @pytest.mark.parametrize(
        ("rest", "shown"),
        [
            ("ann:secret@db/shop", "ann:***@db/shop"),
            ("ann:secret@one:1,two:2/shop", "ann:***@one:1,two:2/shop"),
            ("ann:secret@[::1]:1,[::2]:2/shop", "ann:***@[::1]:1,[::2]:2/shop"),
            ("ann@one,[::2]:2/shop", "ann@one,[::2]:2/shop"),
            ("ann:sec:ret@db/shop", "ann:***@db/shop"),
            ("ann:sec@ret@db/shop", "ann:***@db/shop"),
            ("ann:%73ecret@db/shop", "ann:***@db/shop"),
            ("secret:secret@secret/secret", "secret:***@secret/secret"),
            # libpq takes these as they are, although they should be quoted
            ("ann:sec#ret@db/shop", "ann:***@db/shop"),
            ("ann:sec?ret@db/shop", "ann:***@db/shop"),
            ("db/shop?user=ann&password=secret", "db/shop?user=ann&password=***"),
            ("db/shop?password=secret&user=ann", "db/shop?password=***&user=ann"),
            ("db/shop?sslpassword=secret", "db/shop?sslpassword=***"),
            ("ann@db:5433/shop", "ann@db:5433/shop"),
            ("db:5433/shop?application_name=me@home", "db:5433/shop?application_name=me@home"),
            ("/shop", "/shop"),
            ("", ""),
        ],
    )
    def test_the_password_is_used_and_not_shown(self, rest: str, shown: str):
        url = parse_url(f"postgresql://{rest}")
        assert url.target == f"postgresql://{rest}"
        assert url.display == f"postgresql://{shown}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "''"),
        ("shop.db", "'shop.db'"),
        ("mysql://ann:secret@db/shop", "scheme 'mysql'"),
        ("redis://db", "scheme 'redis'"),
        ("://", "scheme ''"),
        (7, "7"),
    ],
)
def test_other_urls_are_refused_with_what_was_expected(url: str, problem: str):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert problem in str(caught.value)
    assert "expected sqlite:///" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ann:secret@db/shop",
        "postgresql:ann:secret@db/shop",
        "host=db user=ann password=secret",
        "postgresql://ann:secret@[db/shop",
    ],
)
def test_refusing_shows_no_password(url: str):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)
