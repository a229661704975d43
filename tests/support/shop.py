"""An app for tests of the command line; it is copied into a folder and named `shop:app`.

What its handlers do can be seen in the folder: `begun` and `done` have a line for each job, and
jobs that hold wait until there is a file `release`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from dibs import Backoff, Dibs, Retry

if Path("doomed").exists():
    os._exit(3)

app = Dibs(os.environ["SHOP_URL"], heartbeat=0.5, lease=5)
nothing = Dibs(os.environ["SHOP_URL"])


def _write(name: str, word: str) -> None:
    with Path(name).open("a") as file:
        file.write(f"{word}\n")


@app.job
def note(word: str) -> str:
    _write("done", word)
    return word.upper()


@app.job(queue="other")
def note_other(word: str) -> None:
    _write("done", word)


@app.job
async def hold(word: str) -> None:
    _write("begun", f"{word} {os.getpid()}")
    while not Path("release").exists():  # noqa: ASYNC110, ASYNC240 - the test is another process
        await asyncio.sleep(0.005)
    _write("done", word)


@app.job(max_attempts=2, retry=Retry(backoff=Backoff.exponential(base=0)))
def fail(message: str) -> None:
    raise ValueError(message)
