"""Payments: a stand-in for the shop's payment provider."""

from __future__ import annotations

DECLINED = "4000000000000002"
"""The number of the test card that is always declined."""


class PaymentDeclinedError(Exception):
    """The provider refused the card."""


def charge(card: str, cents: int) -> None:
    if card == DECLINED:
        raise PaymentDeclinedError(f"the card was declined for {cents / 100:.2f}")
