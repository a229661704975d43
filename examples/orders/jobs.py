"""The shop's jobs: what is done after the customer has been answered.

A job may run more than once: if a worker's machine dies after the mail went out and before the
job is marked as done, another worker runs it again. README.md says what each handler makes of it.
"""

from __future__ import annotations

import asyncio
import time

from dibs import Backoff, Dibs, JobContext, Priority, Retry
from orders import invoice, store

app = Dibs(store.URL)


@app.job(priority=Priority.CRITICAL)
async def send_password_reset(email: str) -> str:
    await asyncio.sleep(0.005)  # the mail server takes the mail
    return f"reset link sent to {email}"


@app.job(priority=Priority.HIGH)
def send_order_confirmation(order_id: int, email: str) -> None:
    time.sleep(0.005)  # the mail server takes the mail
    store.add_confirmation(order_id, email)


@app.job(priority=Priority.NORMAL)
def generate_invoice(order_id: int) -> str:
    order = store.find_order(order_id)
    if order is None:
        raise LookupError(f"no order {order_id}")
    file = invoice.write(order)
    store.add_invoice(order_id, file.name)
    return file.name


@app.job(priority=Priority.NORMAL)
def sync_inventory(order_id: int, sku: str, quantity: int) -> None:
    time.sleep(0.003)  # the warehouse answers
    store.add_stock_change(order_id, sku, -quantity)


@app.job(priority=Priority.LOW)
def daily_report(shop: int) -> str:
    orders, cents = store.sales()
    time.sleep(0.025)  # the report is laid out
    return f"shop {shop}: {orders} orders, {cents / 100:.2f}"


@app.job(priority=Priority.NORMAL, retry=Retry(backoff=Backoff.exponential(base=0.2)))
def fetch_exchange_rates(ctx: JobContext, currency: str) -> str:
    """Flaky, as other people's servers are: it answers at the third attempt."""
    if ctx.attempt < 3:
        raise ConnectionError("the bank does not answer")
    return f"rates for {currency}"


@app.job(
    priority=Priority.NORMAL, max_attempts=3, retry=Retry(backoff=Backoff.exponential(base=0.1))
)
def notify_partner(order_id: int, partner: str) -> None:
    """The partner's server is gone for good: after three attempts the job is a dead letter."""
    raise ConnectionError(f"{partner} cannot be reached about order {order_id}")
