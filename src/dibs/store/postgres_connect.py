"""Connecting to PostgreSQL: options that every connection of dibs has."""

from __future__ import annotations

from typing import Any

import psycopg

CONNECT_SECONDS = 10

OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": CONNECT_SECONDS,
    # A peer that vanished without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(target: str, application_name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection that commits every statement by itself."""
    return psycopg.connect(target, application_name=application_name, **OPTIONS)
