"""Scenario 3: a proxy between the workers and PostgreSQL drops, delays, goes deaf, half-closes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dibs import Dibs
from tests.support.crew import Crew, Customers
from tests.support.database import misplaced
from tests.support.history.events import What
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.proxy import Proxy
from tests.support.seed import Chance
from tests.support.waiting import eventually

WORKERS = 2
LONG_SECONDS = 4.0
"""Longer than the lease, and than any wait for an answer."""
ANSWER = {"answer_within": 1.5}
# Killed by nobody, yet taken for dead again and again.
APP = {"heartbeat": 0.3, "lease": 2, "max_crashes": 1_000}
CREW = {"app": APP, "worker": {"concurrency": 10}, "tell": True, **ANSWER}

Fault = Callable[[Proxy], None]


@pytest.fixture
def proxies(postgres_url: str) -> Iterator[list[Proxy]]:
    """One for each worker, so that they fail each by itself."""
    with ExitStack() as closing:
        yield [closing.enter_context(Proxy(postgres_url)) for _ in range(WORKERS)]


def drop(proxy: Proxy) -> None:
    proxy.drop()


def half_close(proxy: Proxy) -> None:
    proxy.half_close()


def delay(proxy: Proxy) -> None:
    proxy.delay(0.2)


def deafen(proxy: Proxy) -> None:
    proxy.deafen()


def hold(proxy: Proxy) -> None:
    proxy.hold()


EACH = [drop, half_close, delay, deafen, hold]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("faults", "every"), [(EACH, 0.5), pytest.param(EACH * 4, 2.0, marks=[pytest.mark.chaos])]
)
def test_the_way_to_the_database_fails(
    postgres_url: str,
    proxies: list[Proxy],
    tmp_path: Path,
    chance: Chance,
    lab: Callable[[Report], None],
    faults: list[Fault],
    every: float,
):
    app, log = Dibs(postgres_url, **APP), Log(tmp_path)
    app.migrate()
    log.fault(What.CUT)  # from now on, any worker may lose its lease
    seconds = len(faults) * every
    with (
        Crew(postgres_url, tmp_path, **CREW) as crew,
        Customers(
            postgres_url, tmp_path, 2, seconds, seed=chance.seed_used, pause=0.02
        ) as customers,
    ):
        for proxy in proxies:
            crew.start(url=f"{proxy.url}?connect_timeout=2")
        for fault in chance.sample(faults, len(faults)):
            time.sleep(chance.uniform(0.5, 1.5) * every)  # so that it comes at any moment
            proxy = chance.choice(proxies)
            fault(proxy)
            log.fault(to=fault.__name__)
            time.sleep(chance.uniform(0, LONG_SECONDS))  # this is how long the fault lasts
            proxy.heal()
        assert customers.finish() == ([0, 0], ["", ""])
        eventually(lambda: at_rest(app), "all jobs to end", within=60, every=0.1)
        assert crew.stop() == [0] * WORKERS
    app.close()
    assert misplaced(postgres_url) == []
    lab(summarize("proxy", "postgres", history(postgres_url, tmp_path), chance.seed_used))


def at_rest(app: Dibs) -> bool:
    stats = app.stats()
    return not stats.waiting and not stats.states["running"]
