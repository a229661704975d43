"""The database with the large backlog, made once: filling it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dibs.testing import PostgresCluster


@pytest.fixture(scope="module")
def empty_postgres_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url.rpartition("/")[2])
