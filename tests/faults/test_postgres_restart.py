"""PostgreSQL is killed and started again under load: what was promised is kept, nothing hangs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs import Dibs
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster
from tests.support.crew import Crew, Producers
from tests.support.database import misplaced, query, wait_until_ended
from tests.support.waiting import eventually

CRASHES = 3
WORKERS = 2
PRODUCERS = 2
SECONDS = 7.0
SEED = 20_240_503
# Far longer than the test: no rescue helps here. A claim that was committed while its answer got
# lost comes back only because the worker looks for what it holds.
LEASE = {"heartbeat": 0.5, "lease": 600}


@pytest.fixture
def durable_cluster() -> Iterator[PostgresCluster]:
    """A server of the test's own that keeps what it confirmed: fsync is on."""
    cluster = PostgresCluster()
    try:
        cluster.start()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with cluster:
        yield cluster


def test_a_server_that_is_killed_and_comes_back(durable_cluster: PostgresCluster, tmp_path: Path):
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    url = durable_cluster.create_database()
    app = Dibs(url)
    app.migrate()
    app.close()

    with (
        Crew(url, tmp_path, app=LEASE) as crew,
        Producers(url, tmp_path, PRODUCERS, SECONDS, "patient") as producers,
    ):
        crew.start(WORKERS)
        for _ in range(CRASHES):
            promised = len(producers.acknowledged())
            eventually(lambda p=promised: len(producers.acknowledged()) > p + 200, "some load")
            time.sleep(chance.uniform(0, 0.3))  # so that the crash comes at any moment
            durable_cluster.kill()
            durable_cluster.start()
        codes, _ = producers.finish()
        assert codes == [0] * PRODUCERS
        wait_until_ended(url, within=30)
        assert crew.stop() == [0] * WORKERS
        started = Counter(entry.job_id for entry in crew.entries())
        failed = [event["event"] for worker in crew.workers for event in worker.warnings()]

    print(f"{len(started)} jobs; workers reported {Counter(failed)}")
    done = [row[0] for row in query(url, "SELECT id FROM dibs_history")]
    assert set(producers.acknowledged()) <= set(done)
    # No worker died, so nothing ran twice, although the answers to claims and settlements got
    # lost; and what was not acknowledged either exists whole or not at all.
    assert started == Counter(done)
    assert misplaced(url) == []
    assert query(url, "SELECT COUNT(*) FROM dibs_history WHERE crashes > 0") == [(0,)]
    assert query(url, "SELECT COUNT(*) FROM dibs_workers") == [(0,)]
