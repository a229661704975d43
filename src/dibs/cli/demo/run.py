"""The demo from beginning to end.

temp folder ── database ── API (uvicorn) ── two workers
     │                        ▲                │
     │         orders over HTTP, a flood of reports
     └── everything ends with the `with` blocks, in reverse order
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dibs.app import Dibs
from dibs.cli.demo.checks import Check, OrderSeen, Outcome, check, waits
from dibs.cli.demo.database import demo_database
from dibs.cli.demo.example import check_packages, find_example
from dibs.cli.demo.processes import Processes, ended_by_signals
from dibs.cli.demo.screen import Screen
from dibs.cli.demo.summary import Spread, Summary
from dibs.cli.demo.traffic import Traffic, plan
from dibs.errors import DibsError
from dibs.model.job import State
from dibs.store.urls import parse_url
from dibs.testing.installation import free_port

WORKERS = 2
CONCURRENCY = 4
READY_SECONDS = 20.0
"""How long the API and the workers may take to start."""
LIMIT_SECONDS = 45.0
"""How long the jobs may take."""
TICK_SECONDS = 0.15
JOBS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the demo plays on."""

    app: Dibs
    client: Any
    processes: Processes
    screen: Screen
    invoices: Path


def run_demo(url: str | None, *, postgres: bool, console: Console) -> Summary:
    """Run the demo and return its result; nothing of it is left.

    Raises:
        DibsError: it could not be carried out.
    """
    check_packages()
    example = find_example()
    with ended_by_signals(), ExitStack() as stack:
        screen = stack.enter_context(Screen(console))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dibs-demo-")))
        if postgres:
            screen.say("starting a PostgreSQL server")
        made = stack.enter_context(demo_database(url, postgres=postgres, folder=folder))
        stage = _set_up(stack, screen, folder, example, made)
        return _play(stage, "PostgreSQL" if parse_url(made).engine == "postgres" else "SQLite")


def _set_up(stack: ExitStack, screen: Screen, folder: Path, example: Path, url: str) -> _Stage:
    import httpx

    app = Dibs(url)
    stack.callback(app.close)
    invoices = folder / "invoices"
    environment = {
        "DIBS_URL": url,
        "ORDERS_FOLDER": str(invoices),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(example), os.environ.get("PYTHONPATH")])),
        "PYTHONDONTWRITEBYTECODE": "1",  # the example's folder stays as it is
    }
    processes = stack.enter_context(Processes(folder, environment))
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    client = stack.enter_context(httpx.Client(base_url=base, timeout=10, trust_env=False))
    screen.say(f"starting the API at {base} and {WORKERS} workers on {parse_url(url).display}")
    processes.start("API", *_api(port))
    _until_answered(client, processes)
    for number in range(1, WORKERS + 1):
        processes.start(f"worker {number}", *_worker())
    _until_workers(app, processes)
    return _Stage(app, client, processes, screen, invoices)


def _api(port: int) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    return ["-m", "uvicorn", "orders.api:api", *options]


def _worker() -> list[str]:
    options = ["--concurrency", str(CONCURRENCY), "--log-format", "json"]
    return ["-m", "dibs", "--app", "orders.jobs:app", "worker", *options]


def _until_answered(client: Any, processes: Processes) -> None:
    import httpx

    deadline = time.monotonic() + READY_SECONDS
    while True:
        processes.check()
        try:
            response = client.get("/stats")
        except httpx.TransportError:
            response = None
        if response is not None:
            if response.status_code == 200:
                return
            raise DibsError(f"GET /stats: {response.status_code} {response.text[:200]}")
        if time.monotonic() > deadline:
            raise DibsError(f"the API did not answer within {READY_SECONDS:g} s")
        time.sleep(0.05)


def _until_workers(app: Dibs, processes: Processes) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while len(app.stats().workers) < WORKERS:
        processes.check()
        if time.monotonic() > deadline:
            raise DibsError(f"the workers did not start within {READY_SECONDS:g} s")
        time.sleep(0.05)


def _play(stage: _Stage, engine: str) -> Summary:
    traffic = Traffic(stage.client, plan())
    began = time.monotonic()
    in_time = _until_ended(stage, traffic, began)
    seconds = time.monotonic() - began
    outcome = _look(stage, traffic)
    checks = check(outcome)
    stats = stage.app.stats()
    if not in_time:
        left = stats.waiting + stats.states[State.RUNNING]
        problem = f"{left} jobs had not ended after {LIMIT_SECONDS:g} s"
        checks.insert(0, Check("every job ended in time", problem))
    return Summary(
        engine=engine,
        seconds=seconds,
        orders=len(outcome.orders),
        stats=stats,
        waits={priority: Spread.of(values) for priority, values in waits(outcome.jobs).items()},
        answers=Spread.of(traffic.acknowledged.answers),
        checks=checks,
    )


def _until_ended(stage: _Stage, traffic: Traffic, began: float) -> bool:
    """Send the traffic and show what runs; return whether all ended in time."""
    while time.monotonic() < began + LIMIT_SECONDS:
        stage.processes.check()
        traffic.send(TICK_SECONDS, stage.screen.say)
        for event in stage.processes.events():
            stage.screen.say(event)
        stats = stage.app.stats()
        stage.screen.show(stats, stage.app.jobs.list(state=State.RUNNING))
        if traffic.done and not stats.waiting and not stats.states[State.RUNNING]:
            return True
        time.sleep(TICK_SECONDS)
    return False


def _look(stage: _Stage, traffic: Traffic) -> Outcome:
    orders = []
    for order_id in traffic.acknowledged.orders:
        seen = stage.client.get(f"/orders/{order_id}").raise_for_status().json()
        orders.append(
            OrderSeen(
                id=order_id,
                confirmations=len(seen["confirmations"]),
                invoices=tuple(seen["invoices"]),
                inventory=len(seen["inventory"]),
            )
        )
    jobs = tuple(stage.app.jobs.list(limit=JOBS_LIMIT))
    return Outcome(jobs, frozenset(traffic.acknowledged.jobs), tuple(orders), stage.invoices)
