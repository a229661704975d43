"""What dibs asks of libpq, and that the URL has the last word."""

import pytest

from dibs.store.postgres_connect import DEFAULTS, options


def test_defaults():
    said = options("postgresql://ann@db/shop", "dibs")
    assert said.items() >= DEFAULTS.items()
    assert said.items() >= {"user": "ann", "host": "db", "dbname": "shop"}.items()
    assert (said["application_name"], said["autocommit"]) == ("dibs", True)


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_the_url_wins(name: str):
    assert options(f"postgresql://ann@db/shop?{name}=7", "dibs")[name] == "7"


def test_several_hosts():
    said = options("postgresql://ann@one:1,[::2]:2/shop", "dibs")
    assert (said["host"], said["port"]) == ("one,::2", "1,2")
