"""A handler for `executor="process"` that completes its job in its own transaction."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from typing import Any

import psycopg

from dibs import Dibs, JobContext

URL = os.environ.get("CHILD_DATABASE", "sqlite:///never-opened.db")
app = Dibs(URL)


def connect() -> Any:
    if URL.startswith("sqlite"):
        return sqlite3.connect(URL.removeprefix("sqlite:///"), timeout=30)
    return psycopg.connect(URL)


@app.job(executor="process")
def charge(ctx: JobContext, then: str) -> str:
    with closing(connect()) as connection:
        connection.execute("INSERT INTO charges VALUES (1)")
        ctx.complete_in(connection, result="stored")
        if then == "roll back":
            connection.rollback()
            return "returned"
        connection.commit()
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return "ignored"
