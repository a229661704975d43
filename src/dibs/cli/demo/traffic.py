"""The demo's customers: what they ask of the shop's API, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dibs.errors import DibsError

REPORTS = 3_000
WAVES = 4
SECONDS_BETWEEN_WAVES = 1.7
ORDERS_PER_WAVE = 10
RESETS = 15
DECLINED = "4000000000000002"
"""The card that the shop's payment provider always declines."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and when to send it."""

    at: float
    """Seconds after the beginning."""
    path: str
    body: dict[str, Any]
    expected: int
    """The status that it should be answered with."""


@dataclass(slots=True)
class Acknowledged:
    """What the API said it stored."""

    orders: list[int] = field(default_factory=list)
    jobs: set[int] = field(default_factory=set)
    declined: int = 0
    answers: list[float] = field(default_factory=list)
    """Seconds until each single order or password reset was answered."""


def plan() -> list[Request]:
    """Return a flood of reports at the beginning, and waves of orders and resets behind it."""
    requests = [Request(0, "/reports", {"shops": REPORTS}, 202)]
    for wave in range(WAVES):
        at = 0.3 + wave * SECONDS_BETWEEN_WAVES
        orders = range(wave * ORDERS_PER_WAVE, (wave + 1) * ORDERS_PER_WAVE)
        requests += [Request(at, "/orders", _order(number), 201) for number in orders]
        requests += [Request(at, "/orders", {**_order(wave), "card": DECLINED}, 402)]
        requests += [
            Request(at, "/password-resets", {"email": f"customer{number}@example.com"}, 202)
            for number in range(wave, RESETS, WAVES)
        ]
    return requests


def _order(number: int) -> dict[str, Any]:
    order: dict[str, Any] = {
        "email": f"customer{number}@example.com",
        "sku": ("mug", "shirt", "poster")[number % 3],
        "quantity": 1 + number % 4,
        "cents": 950 + 100 * number,
    }
    if number % 5 == 0:
        order["currency"] = "USD"
    if number % 10 == 3:
        order["partner"] = "acme"
    return order


class Traffic:
    """Sends the planned requests when they are due."""

    def __init__(self, client: Any, requests: list[Request]) -> None:
        """Send `requests` through `client`, an `httpx.Client`; the first `send` begins."""
        self._client = client
        self._requests = deque(requests)
        self._began: float | None = None
        self.acknowledged = Acknowledged()

    @property
    def done(self) -> bool:
        """Whether all was sent."""
        return not self._requests

    def send(self, seconds: float, say: Callable[[str], None]) -> None:
        """Send what is due, for at most about `seconds`.

        Raises:
            DibsError: the API answered with something else than planned, or not at all.
        """
        now = time.monotonic()
        if self._began is None:
            self._began = now
        deadline = now + seconds
        while self._requests and self._requests[0].at <= now - self._began and now < deadline:
            say(self._send(self._requests.popleft()))
            now = time.monotonic()

    def _send(self, request: Request) -> str:
        import httpx

        began = time.monotonic()
        try:
            response = self._client.post(request.path, json=request.body)
        except httpx.HTTPError as error:
            raise DibsError(f"POST {request.path}: {type(error).__name__} {error}") from error
        if response.status_code != request.expected:
            raise DibsError(
                f"POST {request.path}: expected {request.expected}, "
                f"got {response.status_code} {response.text[:200]}"
            )
        taken = time.monotonic() - began
        if request.path != "/reports":
            self.acknowledged.answers.append(taken)
        return f"POST {request.path}: {self._note(request, response.json())}, {taken * 1000:.0f} ms"

    def _note(self, request: Request, answer: dict[str, Any]) -> str:
        """Remember what was stored; return it in words."""
        stored = self.acknowledged
        if request.expected == 402:
            stored.declined += 1
            return "declined, nothing stored"
        jobs = answer["jobs"] if "jobs" in answer else [answer["job"]]
        stored.jobs.update(jobs)
        if "id" in answer:
            stored.orders.append(answer["id"])
            return f"order {answer['id']} with {len(jobs)} jobs"
        return f"{len(jobs)} jobs" if len(jobs) > 1 else f"job {jobs[0]}"
