"""The example shop: orders over real HTTP, their jobs run by a worker, on both engines."""

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.examples.shop_server import EXAMPLES, served, shop_environment
from tests.support.database import query

DECLINED = "4000000000000002"


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    return tmp_path / "invoices"


@pytest.fixture
def shop(database_url: str, tmp_path: Path, invoices: Path) -> Iterator[httpx.Client]:
    with served(shop_environment(database_url, invoices), tmp_path) as client:
        yield client


@pytest.fixture
def jobs(
    shop: httpx.Client, database_url: str, invoices: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The shop's `jobs` module, on the test's own database."""
    for name, value in shop_environment(database_url, invoices).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(EXAMPLES)
    module = importlib.import_module("orders.jobs")
    yield module
    module.app.close()
    store = sys.modules["orders.store"]
    if not store.ON_SQLITE:
        store.POOL.close()
    for name in [name for name in sys.modules if name.partition(".")[0] == "orders"]:
        del sys.modules[name]


def run_all(jobs: ModuleType) -> None:
    """Run jobs until none is left that will ever start."""
    jobs.app.worker().run(until_idle=True)
    while jobs.app.stats().waiting:
        time.sleep(0.02)  # the next attempt is due in a few tenths of a second
        jobs.app.worker().run(until_idle=True)


def order(shop: httpx.Client, **fields: Any) -> httpx.Response:
    return shop.post("/orders", json={"email": "ada@example.com", **fields})


def seen(shop: httpx.Client, order_id: int) -> dict[str, Any]:
    return shop.get(f"/orders/{order_id}").raise_for_status().json()


def states(found: dict[str, Any]) -> dict[str, str]:
    return {job["kind"]: job["state"] for job in found["jobs"]}


def test_an_order_is_answered_at_once_and_its_jobs_wait(shop: httpx.Client):
    placed = order(shop, sku="shirt", quantity=2)
    assert placed.status_code == 201
    found = seen(shop, placed.json()["id"])
    assert found["order"]["sku"] == "shirt"
    assert [job["id"] for job in found["jobs"]] == placed.json()["jobs"]
    assert states(found) == {
        "send_order_confirmation": "ready", "generate_invoice": "ready", "sync_inventory": "ready"
    }  # fmt: skip
    assert (found["confirmations"], found["invoices"], found["inventory"]) == ([], [], [])


def test_a_worker_does_everything_once(shop: httpx.Client, jobs: ModuleType, invoices: Path):
    placed = order(shop, quantity=3, currency="USD", partner="acme").json()
    run_all(jobs)
    found = seen(shop, placed["id"])
    assert states(found) == {
        "send_order_confirmation": "completed", "generate_invoice": "completed",
        "sync_inventory": "completed", "fetch_exchange_rates": "completed",
        "notify_partner": "dead",
    }  # fmt: skip
    assert found["confirmations"] == ["ada@example.com"]
    assert found["inventory"] == [-3]
    assert found["invoices"] == [f"invoice-{placed['id']}.pdf"]
    assert [file.read_bytes()[:4] for file in invoices.iterdir()] == [b"%PDF"]


def test_the_flaky_and_the_hopeless_tell_their_attempts(shop: httpx.Client, jobs: ModuleType):
    placed = order(shop, currency="USD", partner="acme").json()
    run_all(jobs)
    told = {job["kind"]: job for job in seen(shop, placed["id"])["jobs"]}
    assert told["fetch_exchange_rates"]["attempt"] == 3
    assert told["notify_partner"]["attempt"] == 3
    assert "acme cannot be reached" in told["notify_partner"]["error"]


def test_a_declined_payment_leaves_neither_order_nor_job(shop: httpx.Client, database_url: str):
    answer = order(shop, card=DECLINED)
    assert answer.status_code == 402
    assert "declined" in answer.json()["detail"]
    for table in ("orders", "order_jobs", "dibs_jobs", "dibs_ready"):
        assert query(database_url, f"SELECT COUNT(*) FROM {table}") == [(0,)], table
    assert order(shop).status_code == 201  # the next customer is served


@pytest.mark.parametrize("fields", [{"email": "nobody"}, {"quantity": 0}, {"cents": "many"}])
def test_a_bad_order_is_refused_and_stores_nothing(shop: httpx.Client, fields: dict[str, Any]):
    assert order(shop, **fields).status_code == 422
    assert sum(shop.get("/stats").json()["states"].values()) == 0


def test_an_order_that_is_not_there(shop: httpx.Client):
    assert shop.get("/orders/7").status_code == 404


def test_a_password_reset_overtakes_everything(shop: httpx.Client, jobs: ModuleType):
    reports = shop.post("/reports", json={"shops": 5}).json()["jobs"]
    placed = order(shop).json()["jobs"]
    reset = shop.post("/password-resets", json={"email": "ada@example.com"}).json()["job"]
    waiting = [job.id for job in jobs.app.jobs.list(state="ready")]
    assert waiting == [reset, *placed, *reports]
    run_all(jobs)
    assert jobs.app.jobs.get(reset).result == "reset link sent to ada@example.com"


def test_the_stats_tell_where_jobs_stand(shop: httpx.Client, jobs: ModuleType):
    shop.post("/reports", json={"shops": 3})
    before = shop.get("/stats").json()
    assert before["states"]["ready"] == 3
    assert [line["priority"] for line in before["lines"]] == [0]
    run_all(jobs)
    assert shop.get("/stats").json()["states"]["completed"] == 3
