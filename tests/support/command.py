"""Run `dibs` as its users do: a real process, in a folder with an app, with or without terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import psutil

from tests.support.nursery import Process, python, run
from tests.support.waiting import WITHIN, eventually

DIBS = (sys.executable, "-m", "dibs")
# Takes the terminal on its standard input as its own, then becomes the command.
ON_TERMINAL = (
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])",
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that it printed."""
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)

    def refused(self, code: int = 1) -> str:
        """Return the one line that says what is wrong."""
        assert "Traceback" not in self.err
        assert self.code == code, self.err
        assert self.err.startswith("dibs: error: "), self.err
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("dibs: error: ").strip()


class Running:
    """A command that runs; its lines of output are kept as they come."""

    def __init__(
        self,
        process: Process,
        out: IO[str] | None,
        err: IO[str] | None,
        terminal: int | None = None,
    ) -> None:
        self.process = process
        self.pid = process.pid
        self.out: list[str] = []
        self.err: list[str] = []
        self._terminal = terminal
        self._readers = [self._read(out, self.out), self._read(err, self.err)]

    @staticmethod
    def _read(stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            with stream, suppress(OSError):  # a terminal ends with an error
                lines.extend(stream)  # each line as it comes

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name among the JSON lines on standard error so far."""
        found = [json.loads(line) for line in list(self.err) if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until there were `count` events of this name, and return them."""

        def enough() -> list[dict[str, Any]] | None:
            found = self.events(name)
            return found if len(found) >= count else None

        found = eventually(enough, f"{count} x {name}")
        assert found is not None
        return found

    def type(self, keys: bytes) -> None:
        """Type on the terminal that it runs on."""
        assert self._terminal is not None
        os.write(self._terminal, keys)

    def ended(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(WITHIN)
        for reader in self._readers:
            reader.join(WITHIN)
        return Ended(code, "".join(self.out), "".join(self.err))

    def _kill_orphans(self) -> None:
        """Kill what a supervisor left behind that was killed itself; a failed test needs it."""
        for event in self.events("child_started") + self.events("child_restarted"):
            with suppress(psutil.NoSuchProcess):
                child = psutil.Process(event["pid"])
                if "--supervised" in child.cmdline():
                    child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            family = psutil.Process(self.pid).children(recursive=True)
            for process in (self.process, *family):  # the supervisor first: it would restart them
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._kill_orphans()
        self.ended()
        if self._terminal is not None:
            os.close(self._terminal)


class Folder:
    """A folder with the app `shop:app`, from which commands are run."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        shutil.copy(Path(__file__).with_name("shop.py"), path)

    def write(self, name: str, text: str = "") -> None:
        """Write a file."""
        (self.path / name).write_text(text)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file that handlers write."""
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []

    def run(self, *arguments: object, stdin: str = "", **env: str) -> Ended:
        """Run a command to its end."""
        words = map(str, arguments)
        return Ended(*run("-m", "dibs", *words, stdin=stdin, cwd=self.path, env=self._env(env)))

    def python(self, *words: str) -> Ended:
        """Run a program to its end in an interpreter of its own, whose `__main__` it is."""
        ended = subprocess.run(
            [sys.executable, *words], cwd=self.path, env=self._env({}),
            capture_output=True, text=True, timeout=WITHIN, check=False,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def shop(self, *arguments: object, **options: Any) -> Ended:
        """Run a command of the shop to its end."""
        return self.run("--app", "shop:app", *arguments, **options)

    def start(
        self, *arguments: object, terminal: bool = False, screen: bool = False, **env: str
    ) -> Running:
        """Start a command.

        `terminal` gives it one of its own, which can be typed on, and `screen` shows standard
        error there.
        """
        if terminal:
            return self._on_terminal(arguments, env, screen=screen)
        with ExitStack() as closing:
            (out, its_out), (err, its_err) = os.pipe(), os.pipe()
            theirs = [closing.enter_context(os.fdopen(end, "w")) for end in (its_out, its_err)]
            words, env = map(str, arguments), self._env(env)
            process = python(
                "-m", "dibs", *words, cwd=self.path, env=env, out=theirs[0], err=theirs[1]
            )
        return Running(process, os.fdopen(out), os.fdopen(err))

    def _on_terminal(
        self, arguments: tuple[object, ...], env: dict[str, str], *, screen: bool
    ) -> Running:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*ON_TERMINAL, *DIBS, *map(str, arguments)],
            cwd=self.path, env=self._env(env), text=True, start_new_session=True,
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs if screen else subprocess.PIPE,
        )  # fmt: skip
        os.close(theirs)
        errors = os.fdopen(os.dup(ours)) if screen else process.stderr
        return Running(process, process.stdout, errors, ours)

    def worker(self, *options: object, terminal: bool = False) -> Running:
        """Start a worker of the shop that logs in JSON."""
        return self.start(
            "--app", "shop:app", "worker", "--log-format", "json", *options, terminal=terminal
        )

    def _env(self, env: dict[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        return {**own, "SHOP_URL": self.url, **env}


def is_alive(pid: int) -> bool:
    """Return whether a process still runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
