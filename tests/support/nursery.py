"""Python processes that begin with dibs imported: forked from one that has done it once.

```
tests ──socket──> nursery, which has imported dibs ──fork──> a process of its own, which becomes
  ▲                   │                                      `python -m …` and ends as that would
  └── how it ended ◄──┘
```

Hundreds of commands and workers are started, and importing is most of what a short one does. What
is to be tested about the start of an interpreter itself needs a real one: `subprocess`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import IO, Any

from tests.support.hosts import HERE
from tests.support.waiting import WITHIN

ROOT = Path(__file__).parents[2]
MODULE = "tests.support.nursery"
NUMBER = 4
"""Bytes of a number in a message."""


class Forked:
    """A process that the nursery has started; as far as tests need it, a `subprocess.Popen`."""

    def __init__(self, pid: int, ended: int) -> None:
        """Follow a process; from the file descriptor `ended` comes its exit code."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code."""
        if (code := self._look(timeout)) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            told = os.read(self._ended, NUMBER)
            os.close(self._ended)
            self.returncode = _number(told)
        return self.returncode


Process = Forked | subprocess.Popen[Any]


def python(
    *words: str,
    env: Mapping[str, str] = os.environ,
    out: IO[Any] | None = None,
    err: IO[Any] | None = None,
    stdin: IO[Any] | None = None,
    cwd: Path = ROOT,
    imports: Sequence[str] = (),
) -> Process:
    """Start `python` with these words: `-m module …`, `-c script …` or a file's name.

    Args:
        words: its command line; `-W error` may come first.
        env: its environment; of what Python itself reads there, only the path counts.
        out: its standard output, by default ours.
        err: its standard error, by default ours.
        stdin: its standard input, by default empty.
        cwd: its folder.
        imports: what takes long to import, for the nursery to have it for the next one too.
    """
    with open(os.devnull) as nothing:
        files = (stdin or nothing, out, err)
        if _network() != NETWORK:  # only from here; the nursery's children are where it is
            started = dict(zip(("stdin", "stdout", "stderr"), files, strict=True))
            return subprocess.Popen([sys.executable, *words], cwd=cwd, env=env, **started)
        ended, tell = os.pipe()
        wanted = {"words": words, "cwd": str(cwd), "env": dict(env), "imports": imports}
        message = json.dumps(wanted).encode()
        nursery = _nursery()
        with os.fdopen(tell, "wb"):
            standard = (file.fileno() if file else number for number, file in enumerate(files))
            socket.send_fds(nursery, [_bytes(len(message))], [*standard, tell])
            nursery.sendall(message)
        return Forked(_number(_receive(nursery, NUMBER)), ended)


def run(
    *words: str, stdin: str = "", within: float = WITHIN, **options: Any
) -> tuple[int, str, str]:
    """Run `python` to its end, and return its exit code and what it said on each stream."""
    with ExitStack() as closing:
        given, out, err = (closing.enter_context(TemporaryFile("w+")) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        process = python(*words, stdin=given, out=out, err=err, **options)
        closing.callback(process.kill)
        code = process.wait(within)
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


def said_by(script: str, *words: str) -> str:
    """Run a script to its end, which has to be a good one, and return what it printed."""
    code, out, err = run("-W", "error", "-c", script, *words)
    assert (code, err) == (0, ""), err
    return out


def _network() -> str:
    """Return the network that this thread is on, where a machine can have several."""
    return os.readlink(HERE) if os.path.exists(HERE) else ""


NETWORK = _network()


@functools.cache
def _nursery() -> socket.socket:
    """Start the nursery, which ends when this process does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(theirs.fileno())],
            cwd=ROOT, pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# --- In the nursery ----------------------------------------------------------------------------


def main() -> None:
    """Fork processes, each of which returns from `serve` and becomes what was wanted."""
    import dibs

    for found in pkgutil.walk_packages(dibs.__path__, "dibs."):
        if not found.name.endswith(".__main__"):
            import_module(found.name)
    wanted = serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        become(**wanted)


def serve(client: socket.socket) -> dict[str, Any] | None:
    """Return in each child what it is to become, and None when the tests have ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([client, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            _collect(running)
        if client not in ready:
            continue
        length, files, _, _ = socket.recv_fds(client, NUMBER, 4)
        if not length:
            return None
        wanted: dict[str, Any] = json.loads(_receive(client, _number(length)))
        for name in wanted.pop("imports"):
            import_module(name)
        gc.freeze()  # a child's collector, also the last one at its end, would copy all this memory
        *standard, tell = files
        if pid := os.fork():
            running[pid] = tell
            for file in standard:
                os.close(file)
            client.sendall(_bytes(pid))
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # As at a prompt, though the tests may run in the background, where Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        client.close()
        for number, file in enumerate(standard):
            os.dup2(file, number)
        for file in (awake, wake, *files, *running.values()):
            os.close(file)
        return wanted


def _collect(running: dict[int, int]) -> None:
    """Tell of every child that has ended."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            tell = running.pop(ended[0])
            with suppress(BrokenPipeError):  # nobody wants to know
                os.write(tell, _bytes(os.waitstatus_to_exitcode(ended[1])))
            os.close(tell)


def become(words: list[str], cwd: str, env: dict[str, str]) -> None:
    """Do what `python` would with these words."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.orig_argv[1:] = words
    if words[0] == "-W":
        sys.warnoptions.append(words[1])
        warnings.simplefilter("error")
        words = words[2:]
    path = env.get("PYTHONPATH")
    sys.path[0:1] = [cwd, *(path.split(os.pathsep) if path else ())]
    match words:
        case "-m", module, *arguments:
            sys.argv[1:] = arguments
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case "-c", script, *arguments:
            sys.argv[:] = ["-c", *arguments]
            sys.modules["__main__"] = main_module = ModuleType("__main__")
            exec(compile(script, "<string>", "exec"), vars(main_module))
        case file, *_:
            sys.argv[:] = words
            runpy.run_path(file, run_name="__main__")


# --- Messages ----------------------------------------------------------------------------------


def _bytes(number: int) -> bytes:
    return number.to_bytes(NUMBER, "big", signed=True)


def _number(told: bytes) -> int:
    assert len(told) == NUMBER, "the nursery has died"
    return int.from_bytes(told, "big", signed=True)


def _receive(stream: socket.socket, count: int) -> bytes:
    told = b""
    while len(told) < count and (more := stream.recv(count - len(told))):
        told += more
    return told


if __name__ == "__main__":
    main()
