"""A producer for the lab, which tells what was promised to it and what it took back.

`python -m tests.support.customer URL SECONDS FOLDER SEED PAUSE CLOCK` enqueues all kinds of jobs
(async, in threads, in processes; some fail a few times, a few fail for good), alone, many at once,
and in transactions of its own, of which it rolls some back.
Tests may also have a `Customer` of their own.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from dibs import Dibs, SchemaError, StoreUnavailableError
from dibs.model.job import NewJob
from tests.support import recorder
from tests.support.clocks import WallClock
from tests.support.history.events import Event, What
from tests.support.history.log import Log, now

PRIORITIES = (-3, 0, 5, 10, 20)
BROKEN = (
    StoreUnavailableError, SchemaError, psycopg.OperationalError, sqlite3.OperationalError
)  # fmt: skip
"""What somebody hears whose database is down: nobody knows what became of the transaction. Whose
file was deleted may have made an empty one just now."""


@dataclass
class Mix:
    """Which jobs are enqueued: shares of 0 to 1, and seconds."""

    failing: float = 0.1
    """Jobs that fail once or twice; a tenth of them fail for good."""
    children: float = 0.01
    """Jobs that run in processes; as many run in threads."""
    longest: float = 0.02
    """Longest time that a job takes."""


@dataclass
class Customer:
    """Enqueues through `app`, and tells `log`."""

    app: Dibs
    log: Log
    chance: Random
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        kinds = (recorder.flaky, recorder.flaky_in_thread, recorder.flaky_in_child)
        self._kinds = [
            self.app.job(
                kind.function,  # type: ignore[attr-defined]
                retry=recorder.SOON,
                executor="process" if kind is recorder.flaky_in_child else None,
            )
            for kind in kinds
        ]
        self._numbers = count()

    def request(self) -> tuple[str, NewJob]:
        """Return a job, and the tag by which it is known."""
        tag, chance = f"{os.getpid()}-{next(self._numbers)}", self.chance
        share = self.mix.children
        (kind,) = chance.choices(self._kinds, [1 - 2 * share, share, share])
        fails = chance.random() < self.mix.failing
        failures = chance.choice([1] * 5 + [2] * 4 + [99]) if fails else 0
        order = kind.using(priority=chance.choice(PRIORITIES))
        seconds = chance.uniform(0, self.mix.longest)
        return tag, order.request(tag=tag, seconds=seconds, failures=failures)

    def buy(self, number: int = 1, *, keep: bool | None = None) -> list[int]:
        """Enqueue jobs at once, and return their ids.

        Args:
            number: how many.
            keep: in a transaction of the caller's own, which is committed or rolled back. Default
                in the app's.
        """
        tags, requests = zip(*(self.request() for _ in range(number)), strict=True)
        asked = now()
        if keep is None:
            ids = self.app.enqueue_many(requests)
        else:
            with transaction(self.app.url) as connection:
                ids = self.app.enqueue_many(requests, connection=connection)
                connection.execute("COMMIT" if keep else "ROLLBACK")
        at, what = now(), What.ROLLED_BACK if keep is False else What.ACKNOWLEDGED
        self.log.tell(
            Event(what, at, asked, id_ if keep is not False else 0, to="ready", tag=tag)
            for id_, tag in zip(ids, tags, strict=True)
        )
        return ids

    def once(self) -> None:
        """Enqueue in one way or another; an outage is waited out."""
        try:
            match self.chance.randrange(10):
                case 0:
                    self.buy(50)
                case 1:
                    self.buy(keep=True)
                case 2:
                    self.buy(keep=False)
                case _:
                    self.buy()
        except BROKEN:
            time.sleep(0.05)  # the database is down: what a patient producer does


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """Open a transaction of a caller's own, on either engine."""
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield file
    else:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute("BEGIN")
            yield connection


def main(url: str, seconds: str, folder: str, seed: str, pause: str, clock: str) -> None:
    if clock:
        WallClock(Path(clock)).follow()
    with closing(Dibs(url)) as app:
        customer = Customer(app, Log(Path(folder)), Random(seed))
        end = time.monotonic() + float(seconds)
        stopped: list[bool] = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        while time.monotonic() < end and not stopped:
            customer.once()
            time.sleep(float(pause))  # so that the workers keep up


if __name__ == "__main__":
    main(*sys.argv[1:])
