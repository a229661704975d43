"""Temporary files in memory, where the machine has room for them: no disk is waited for."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
ROOM = 8 << 30
"""Bytes that have to be free: the large backlogs of `tests/plans` take a third of them."""


def keep_temporary_files_in_memory() -> None:
    """Have this process and those it starts keep temporary files in memory, if that is fit for it.

    A crash of the machine would lose them; these tests kill processes, never the machine.
    """
    if "TMPDIR" not in os.environ and _is_fit():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # to be looked up once more


def _is_fit() -> bool:
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:  # some tests put programs there
        return False
    return min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > ROOM
