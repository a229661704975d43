"""Invoices: one PDF per order in $ORDERS_FOLDER."""

from __future__ import annotations

import os
from pathlib import Path

from fpdf import FPDF

from orders.store import Order

FOLDER = Path(os.environ.get("ORDERS_FOLDER") or "invoices")


def write(order: Order) -> Path:
    """Write an order's invoice; written again, it replaces the first, and is never half there."""
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=20)
    pdf.cell(text=f"Invoice {order.id}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=12)
    for line in (
        f"To: {order.email}",
        f"{order.quantity} x {order.sku}",
        f"Total: {order.cents / 100:.2f}",
    ):
        text = line.encode("latin-1", "replace").decode("latin-1")  # what Helvetica can print
        pdf.cell(h=10, text=text, new_x="LMARGIN", new_y="NEXT")
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"invoice-{order.id}.pdf"
    draft = FOLDER / f".invoice-{order.id}-{os.getpid()}-{os.urandom(4).hex()}"
    pdf.output(str(draft))
    return draft.replace(file)
