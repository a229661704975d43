"""Scenario 2: PostgreSQL goes down in every way, comes back, and is replaced by its standby."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pytest

from dibs import Dibs
from dibs.errors import MissingDependencyError
from dibs.testing import PostgresCluster
from tests.support import recorder
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced, query
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.seed import Chance
from tests.support.standby import Standby, multi_host, replicate_synchronously
from tests.support.waiting import eventually

WORKERS = 2
# Far longer than the test: no rescue helps here. A claim that was committed while its answer got
# lost comes back only because the worker looks for what it holds.
APP = {"heartbeat": 0.5, "lease": 600}
CREW = {"app": APP, "worker": {"concurrency": 10}, "tell": True}
PAUSE = 0.01
"""Between two enqueues of a customer, so that the workers keep up."""
SMART_SECONDS = 1.0
"""How long an operator waits for a smart shutdown, which waits for the workers."""
WATCHED = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dibs-watch'"
"""The connections of workers that stay for good."""

Judge = Callable[[Report], None]


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


def kill(server: PostgresCluster) -> None:
    server.kill()


def immediate(server: PostgresCluster) -> None:
    assert server.stop("immediate")


def fast(server: PostgresCluster) -> None:
    assert server.stop("fast")


def smart(server: PostgresCluster) -> None:
    # A worker that has not come back yet from the last outage stays away from this one, too.
    eventually(lambda: query(server.url(), WATCHED), "a worker to be connected")
    assert not server.stop("smart", within=SMART_SECONDS), "a worker did not stay connected"


DAILY = [kill, immediate, fast, smart]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("ways", "every"),
    [
        (DAILY, 0.8),
        pytest.param([kill] * 20, 3.0, marks=[pytest.mark.chaos], id="killed"),
        pytest.param(DAILY * 5, 3.0, marks=[pytest.mark.chaos], id="stopped"),
    ],
)
def test_the_server_goes_down_and_comes_back(
    durable_cluster: PostgresCluster,
    tmp_path: Path,
    chance: Chance,
    lab: Judge,
    ways: list[Callable[[PostgresCluster], None]],
    every: float,
):
    url, log = durable_cluster.create_database(), Log(tmp_path)

    def go_down_and_up() -> None:
        for way in chance.sample(ways, len(ways)):
            time.sleep(chance.uniform(0.5, 1.5) * every)  # so that it comes at any moment
            way(durable_cluster)
            log.fault(to=way.__name__)
            time.sleep(chance.uniform(0, 0.5))  # some outages are long enough to be noticed
            durable_cluster.start()

    run(url, tmp_path, chance, go_down_and_up, seconds=len(ways) * (every + 1.5))
    name = "server killed" if set(ways) == {kill} else "server killed and shut down"
    report(name, url, tmp_path, chance, lab)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("times", "every"), [(1, 2.0), pytest.param(10, 5.0, marks=[pytest.mark.chaos])]
)
def test_the_standby_is_promoted(
    durable_cluster: PostgresCluster,
    tmp_path: Path,
    chance: Chance,
    lab: Judge,
    times: int,
    every: float,
):
    """The primary is killed, its standby takes over, and gets a new standby at the old address."""
    log, primary = Log(tmp_path), durable_cluster
    single = primary.create_database("shop")
    with ExitStack() as servers:
        standby = follow(primary, None, servers)
        ports = (primary, standby)
        url = multi_host(single, standby)

        def fail_over() -> None:
            nonlocal primary, standby
            for _ in range(times):
                time.sleep(chance.uniform(0.5, 1.5) * every)  # so that it comes at any moment
                primary.kill()
                log.fault(to="failover")
                standby.promote()
                primary, gone = standby, primary
                gone.close()
                standby = follow(primary, gone.port, servers)

        run(url, tmp_path, chance, fail_over, seconds=times * every)
        assert {primary.port, standby.port} == {server.port for server in ports}
        report("standby promoted", url, tmp_path, chance, lab)


def follow(primary: PostgresCluster, port: int | None, servers: ExitStack) -> Standby:
    """Start a standby, and have the primary wait for it from now on."""
    standby = servers.enter_context(Standby(primary, port))
    replicate_synchronously(primary)
    return standby


@pytest.mark.parametrize("way", ["fast", "immediate"])
def test_a_producer_does_not_hear_of_a_shutdown_while_it_was_idle(
    durable_cluster: PostgresCluster, way: Literal["fast", "immediate"]
):
    app = Dibs(durable_cluster.create_database())
    app.migrate()
    record = app.job(recorder.record.function)
    first = record.enqueue()
    durable_cluster.restart(way)
    assert record.enqueue().id > first.id
    app.close()


def test_an_outage_longer_than_the_lease_repeats_nothing(
    durable_cluster: PostgresCluster, tmp_path: Path
):
    """Everybody's lease has run out, and nobody died: who is back first waits for the others."""
    url, short = durable_cluster.create_database(), {"heartbeat": 0.3, "lease": 3}
    app = Dibs(url, **short)
    app.migrate()
    work = app.job(recorder.record_slowly.function)
    ids = app.enqueue_many(work.request(seconds=60, go=True) for _ in range(4))
    with Crew(url, tmp_path, app=short, worker={"concurrency": 2}) as crew:
        crew.start(WORKERS)
        eventually(lambda: len(crew.entries()) == len(ids), "all to run")
        durable_cluster.kill()
        time.sleep(2 * short["lease"])  # this is the outage
        durable_cluster.start()
        now = "extract(epoch FROM now()) * 1000000"
        leases = f"SELECT COUNT(*) FROM dibs_workers WHERE expires_at > {now}"
        eventually(lambda: query(url, leases) == [(WORKERS,)], "both to be heard of again")
        (tmp_path / "go").touch()
        eventually(lambda: not app.stats().states["running"], "the end", every=0.1)
        assert crew.stop() == [0] * WORKERS
        assert sorted(entry.job_id for entry in crew.entries()) == sorted(ids)
    assert {(job.attempt, job.crashes) for job in map(app.jobs.get, ids)} == {(1, 0)}
    app.close()


def run(
    url: str, folder: Path, chance: Chance, disturb: Callable[[], None], *, seconds: float
) -> None:
    """Have customers and workers at work on an empty database while it is disturbed."""
    app = Dibs(url, **APP)
    app.migrate()
    with Crew(url, folder, **CREW) as crew:
        crew.start(WORKERS)
        with Customers(url, folder, 2, seconds, seed=chance.seed_used, pause=PAUSE) as customers:
            disturb()
            codes, _ = customers.finish()  # what psycopg's pool warns of is no matter
            assert codes == [0, 0]
        eventually(lambda: at_rest(app), "all jobs to end", within=60, every=0.1)
        assert crew.stop() == [0] * WORKERS
    app.close()
    assert misplaced(url) == []
    assert query(url, "SELECT COUNT(*) FROM dibs_workers") == [(0,)]


def report(scenario: str, url: str, folder: Path, chance: Chance, lab: Judge) -> None:
    lab(summarize(scenario, "postgres", history(url, folder), chance.seed_used))


def at_rest(app: Dibs) -> bool:
    stats: Any = app.stats()
    return not stats.waiting and not stats.states["running"]
