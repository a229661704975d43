"""The example shop, really served: its API in a process of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.nursery import Process, python
from tests.support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"


def shop_environment(url: str, invoices: Path) -> dict[str, str]:
    """What the shop reads from its environment."""
    return {"DIBS_URL": url, "ORDERS_FOLDER": str(invoices), "PYTHONPATH": str(EXAMPLES)}


@contextmanager
def served(environment: dict[str, str], folder: Path) -> Iterator[httpx.Client]:
    """Serve the API as long as the block lasts, and yield a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    words = ("-m", "uvicorn", "orders.api:api", "--port", str(port))
    with (folder / "api.log").open("wb") as log:
        env = {**os.environ, **environment}
        server = python(
            *words, env=env, cwd=folder, out=log, err=log, imports=("uvicorn", "fastapi", "fpdf")
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            eventually(lambda: _answers(client, server, folder), "the API to answer", every=0.05)
            yield client
    finally:
        server.terminate()
        server.wait(30)


def _answers(client: httpx.Client, server: Process, folder: Path) -> bool:
    assert server.poll() is None, (folder / "api.log").read_text()
    try:
        return client.get("/stats").status_code == 200
    except httpx.TransportError:
        return False
