"""How well a database file is: who may use it, on which disk it is, its log, its unused space."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from dibs.doctor.finding import Check, Finding, graded, ok, problem, warning

MEGA = 1_000_000
GIGA = 1_000 * MEGA
LONG_WAL, VERY_LONG_WAL = 100 * MEGA, GIGA
"""Size of the write-ahead log from which on it is told, and is a problem."""
UNUSED, UNUSED_SHARE = 100 * MEGA, 0.5
"""Unused space in a file, and its share, from which on both are told."""
SCARCE, VERY_SCARCE = GIGA, 100 * MEGA
"""Free space on the disk below which it is told, and is a problem."""

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p", "beegfs"}
)
"""Types of file systems whose locks and shared memory SQLite cannot rely on."""
MOUNTS = Path("/proc/self/mounts")


def check_folder(file: str) -> Iterator[Finding]:
    """Say whether a database file may be used, and what it is on; it need not be there."""
    folder = os.path.dirname(file)
    if not os.path.isdir(folder):
        yield problem(Check.DATABASE, f"there is no folder {folder}", "make it, or mend the URL")
        return
    for path in (folder, file):
        if os.path.exists(path) and not os.access(path, os.W_OK):
            yield problem(
                Check.DATABASE, f"{path} cannot be written by this user",
                "let whoever enqueues or works write both the file and its folder",
            )  # fmt: skip
    yield _file_system(folder)
    yield _disk(folder)


def _file_system(folder: str) -> Finding:
    kind = file_system(folder, MOUNTS.read_text() if MOUNTS.exists() else "")
    if kind is None:
        return ok(Check.FILE_SYSTEM, "this system does not tell the type of file systems")
    if kind in NETWORK or kind.startswith("fuse."):
        return problem(
            Check.FILE_SYSTEM,
            f"{folder} is on a file system of type {kind}, which other machines may share",
            "put the file on a disk of this machine: SQLite's write-ahead log and locks work "
            "within one machine only; for several machines use PostgreSQL",
        )
    return ok(Check.FILE_SYSTEM, f"{folder} is on a file system of type {kind}")


def file_system(folder: str, mounts: str) -> str | None:
    """Return the type of the file system of a folder, by the system's table of mounts."""
    path = os.path.realpath(folder)
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        where = re.sub(r"\\([0-7]{3})", lambda hit: chr(int(hit[1], 8)), fields[1])
        inside = path == where or path.startswith(where.rstrip("/") + "/")
        if inside and (best is None or len(where) >= best[0]):  # a later mount hides an earlier
            best = (len(where), fields[2])
    return best[1] if best else None


def _disk(folder: str) -> Finding:
    disk = shutil.disk_usage(folder)
    message = f"{in_bytes(disk.free)} of {in_bytes(disk.total)} are free on the disk of {folder}"
    if disk.free >= SCARCE:
        return ok(Check.DISK, message)
    return graded(
        disk.free < VERY_SCARCE, Check.DISK, message,
        "free some space: on a full disk nothing can be enqueued, claimed or settled",
    )  # fmt: skip


def check_file(file: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Say how a database file is that could be read."""
    mode = settings["journal_mode"]
    if mode == "wal":
        yield ok(Check.JOURNAL_MODE, "journal_mode is wal")
    else:
        yield problem(
            Check.JOURNAL_MODE, f"journal_mode is {mode}: readers and writers wait for each other",
            "end the program that changed it; the next use by dibs returns it to wal",
        )  # fmt: skip
    yield _wal(f"{file}-wal")
    yield _pages(*(int(settings[name]) for name in ("page_size", "page_count", "freelist_count")))


def _wal(log: str) -> Finding:
    size = os.path.getsize(log) if os.path.exists(log) else 0
    message = f"the write-ahead log has {in_bytes(size)}"
    if size < LONG_WAL:
        return ok(Check.WAL_SIZE, message)
    return graded(
        size >= VERY_LONG_WAL, Check.WAL_SIZE, message,
        "find who keeps a transaction open on the file, and end it: until then the log only grows, "
        "and reading gets slower",
    )  # fmt: skip


def _pages(size: int, count: int, free: int) -> Finding:
    message = f"{in_bytes(size * free)} of {in_bytes(size * count)} in the file are unused"
    if size * free < UNUSED or free < count * UNUSED_SHARE:
        return ok(Check.FREE_PAGES, message)
    return warning(
        Check.FREE_PAGES, message,
        "nothing, if as many jobs will come again; else stop everything and VACUUM the file",
    )  # fmt: skip


def in_bytes(count: int) -> str:
    """Return a size for people."""
    for unit, size in (("GB", GIGA), ("MB", MEGA), ("kB", 1_000)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"
