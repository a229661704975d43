"""This program, started anew in the same process: `exec`, as a recycled worker needs it.

The process keeps its id and its place under systemd, a container or a shell; threads that no
signal can end, and memory that nobody gives back, are gone with the old program.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn


class Program:
    """What runs now, as it was started."""

    def __init__(self) -> None:
        """Remember the folder, which handlers may change, and see off what the last one left."""
        self._folder = os.getcwd()
        _reap()

    def start_anew(self) -> NoReturn:
        """Begin again with the same command line."""
        os.chdir(self._folder)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - its own line


def _reap() -> None:
    """Let go of helpers whose ends the program before this one did not wait for.

    A process has no children yet when it begins, but those it had before it began anew.
    """
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
