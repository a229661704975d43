"""Start child processes, talk to them, and see that they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from dibs.errors import DibsError

END_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used until now."""

    cpu: float
    memory: int


class Child:
    """A child process; it ends with the `with` block, and if we vanish, by itself."""

    def __init__(self, role: Literal["worker", "raw"], url: str) -> None:
        """Start it; the URL travels in the environment, since it may hold a password."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dibs.bench.child", role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DIBS_URL": url},
            start_new_session=True,  # Ctrl-C is for us: we end it
        )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def send(self, request: str) -> None:
        """Ask for something."""
        assert self._process.stdin is not None  # noqa: S101 - Popen was given a pipe
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def receive(self) -> Any:
        """Wait for the answer."""
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        line = self._process.stdout.readline()
        if not line:
            raise self._gone()
        return json.loads(line)

    def ask(self, request: str) -> Any:
        """Ask for something and wait for the answer."""
        self.send(request)
        return self.receive()

    def usage(self) -> Usage:
        """Return what it has used until now."""
        return Usage(**self.ask("usage"))

    def _gone(self) -> DibsError:
        return DibsError(
            f"a process of the benchmark ended early, with exit code {self._process.wait()}; "
            "what it wrote to standard error says why"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - Popen was given a pipe
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.close()
            self._process.wait(END_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()
