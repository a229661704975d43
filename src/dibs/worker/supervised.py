"""A worker process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

LAST_WORDS_SECONDS = 2.0
"""How long to read on after a child's end; what it left behind may hold its end of the line."""


class Supervised:
    """A child that runs `dibs … worker …`, and the line to it (`dibs.worker.link`)."""

    def __init__(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Look after a process that has just been started."""
        self.pid = process.pid
        self.started = asyncio.Event()
        """Set once its worker is registered in the database."""
        self.error: str | None = None
        """Why it could not start, in its own words."""
        self.recycling: str | None = None
        """Why it ended to be replaced."""
        self._process = process
        self._writer = writer
        self._born = time.monotonic()
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> Self:
        """Start a child in a process group of its own, which a terminal's Ctrl-C doesn't reach.

        Raises:
            OSError: the system has no process or memory left for it.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "dibs", *arguments, "--supervised", str(fd),
                    stdin=DEVNULL, pass_fds=[fd], process_group=0,
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        return cls(process, *await asyncio.open_connection(sock=ours))

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._born

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it is gone."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        code = await self._process.wait()
        await asyncio.wait({self._listening}, timeout=LAST_WORDS_SECONDS)
        self._listening.cancel()
        self._writer.close()
        return code

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            async for line in reader:
                message = json.loads(line)
                if message["event"] == "started":
                    self.started.set()
                elif message["event"] == "recycling":
                    self.recycling = message["reason"]
                elif message["event"] == "failed":
                    self.error = message["error"]
