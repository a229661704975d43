"""The shop's API: `uvicorn orders.api:api`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from dibs import Stats
from orders import jobs, payment, store

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", examples=["ada@example.com"])]
Count = Annotated[int, Field(ge=1, le=10_000)]


class NewOrder(BaseModel):
    email: Email
    sku: str = "mug"
    quantity: Count = 1
    cents: Annotated[int, Field(ge=0, le=100_000_000)] = 1_250
    card: str = "4242424242424242"
    currency: str = "EUR"
    partner: str | None = None


class PasswordReset(BaseModel):
    email: Email


class Reports(BaseModel):
    shops: Count


@asynccontextmanager
async def prepared(api: FastAPI) -> AsyncIterator[None]:
    """Have all tables before the first request; both calls do nothing where they exist."""
    jobs.app.migrate()
    store.create_tables()
    yield
    await jobs.app.aclose()


api = FastAPI(title="Orders", lifespan=prepared)


@api.post("/orders", status_code=201)
def place_order(order: NewOrder) -> dict[str, Any]:
    """Store the order and its jobs in one transaction: all of it exists, or nothing does."""
    try:
        with store.transaction() as connection:
            order_id = store.add_order(
                connection, order.email, order.sku, order.quantity, order.cents
            )
            job_ids = enqueue_jobs(connection, order_id, order)
            # Last, so that a declined card takes order and jobs back with it. A provider that takes
            # seconds to answer is better asked first: others wait while this transaction is open.
            payment.charge(order.card, order.cents)
    except payment.PaymentDeclinedError as error:
        raise HTTPException(402, str(error)) from error
    return {"id": order_id, "jobs": job_ids}


def enqueue_jobs(connection: Any, order_id: int, order: NewOrder) -> list[int]:
    """Enqueue on the order's own connection: the jobs appear when the order does."""
    enqueued = [
        jobs.send_order_confirmation.using(connection=connection).enqueue(order_id, order.email),
        jobs.generate_invoice.using(connection=connection).enqueue(order_id),
        jobs.sync_inventory.using(connection=connection).enqueue(
            order_id, order.sku, order.quantity
        ),
    ]
    if order.currency != "EUR":
        enqueued.append(
            jobs.fetch_exchange_rates.using(connection=connection).enqueue(currency=order.currency)
        )
    if order.partner is not None:
        enqueued.append(
            jobs.notify_partner.using(connection=connection).enqueue(order_id, order.partner)
        )
    for job in enqueued:
        store.link_job(connection, order_id, job.id)
    return [job.id for job in enqueued]


@api.get("/orders/{order_id}")
def show_order(order_id: int) -> dict[str, Any]:
    """Show an order, where its jobs stand, and what they have done."""
    order = store.find_order(order_id)
    if order is None:
        raise HTTPException(404, f"no order {order_id}")
    found = [jobs.app.jobs.get(job_id) for job_id in store.job_ids(order_id)]
    return {
        "order": order,
        "jobs": [
            {"id": job.id, "kind": job.kind, "state": job.state, "attempt": job.attempt,
             "error": job.error}
            for job in found
        ],
        **store.effects(order_id),
    }  # fmt: skip


@api.post("/password-resets", status_code=202)
async def reset_password(reset: PasswordReset) -> dict[str, int]:
    """Answer at once; the mail overtakes everything else that waits."""
    job = await jobs.send_password_reset.aenqueue(reset.email)
    return {"job": job.id}


@api.post("/reports", status_code=202)
def report_on_shops(reports: Reports) -> dict[str, list[int]]:
    """Enqueue one report per shop, thousands in a few statements."""
    requests = [jobs.daily_report.request(shop) for shop in range(1, reports.shops + 1)]
    return {"jobs": jobs.app.enqueue_many(requests)}


@api.get("/stats")
def stats() -> Stats:
    """Show how many jobs stand where, and which workers live."""
    return jobs.app.stats()
