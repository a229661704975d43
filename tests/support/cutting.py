"""Scenarios in which the ways to the database fail, one after the other, under load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dibs import Dibs
from tests.support.crew import Crew, Customers, WorkerProcess
from tests.support.customer import Customer
from tests.support.database import misplaced, query, wait_until_at_rest
from tests.support.history.events import What
from tests.support.history.final import history
from tests.support.history.log import Log
from tests.support.history.report import Report, summarize
from tests.support.lan import Lan
from tests.support.seed import Chance
from tests.support.waiting import eventually

LEASE = 2.0
# Killed by nobody, and yet taken for dead again and again.
APP = {"heartbeat": 0.3, "lease": LEASE, "max_crashes": 1_000}
# Of 30 seconds, which is long for a test: less than a fault may last.
CREW = {"app": APP, "worker": {"concurrency": 10}, "tell": True, "answer_within": 1.5}


class Fault(NamedTuple):
    """What happens to one way, and for how long."""

    name: str
    way: int
    """The number of the worker concerned."""
    begin: Callable[[], None]
    seconds: float
    end: Callable[[], None]


def endure(
    scenario: str, lan: Lan, faults: Iterable[Fault], folder: Path, chance: Chance, load: float
) -> Report:
    """Have a worker on each way, and customers at work for `load` seconds, while all that happens.

    After each fault its worker has to work again by itself.
    """
    app, log = Dibs(lan.url, **APP), Log(folder)
    app.migrate()
    customer = Customer(app, log, chance)
    with (
        Crew(lan.url, folder, **CREW) as crew,
        Customers(lan.url, folder, 2, load, seed=chance.seed_used, pause=0.02) as customers,
    ):
        for way in lan.ways:
            with way.at():
                crew.start(url=way.url)
        for fault in faults:
            worker = crew.workers[fault.way]
            log.fault(What.CUT, worker.id, fault.name)
            fault.begin()
            time.sleep(fault.seconds)  # this is the fault
            before = completed(lan.url, worker)
            fault.end()
            log.fault(What.MENDED, worker.id, fault.name)
            wait_for_more(lan.url, worker, before, customer)
        assert customers.finish() == ([0, 0], ["", ""])
        wait_until_at_rest(lan.url, within=60)
        assert crew.stop() == [0] * len(lan.ways)
    app.close()
    assert misplaced(lan.url) == []
    return summarize(scenario, "postgres", history(lan.url, folder), chance.seed_used)


def completed(url: str, worker: WorkerProcess) -> int:
    [(count,)] = query(url, f"SELECT COUNT(*) FROM dibs_history WHERE worker = '{worker.id}'")
    return int(count)


def wait_for_more(url: str, worker: WorkerProcess, before: int, customer: Customer) -> None:
    """Wait until a worker completes a job again; there are some."""

    def works() -> bool:
        customer.buy()
        return completed(url, worker) > before

    eventually(works, f"{worker.id} to work again", every=0.05)
