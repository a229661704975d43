"""Three hosts on one machine: network namespaces, the workers' two joined to the database's.

That needs an administrator's rights. A thread is on one host at a time, and what it starts is too.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

CLONE_NEWNET = 0x4000_0000
HERE = "/proc/thread-self/ns/net"


class NotPermittedError(Exception):
    """This machine lets us make no namespaces."""


@dataclass(frozen=True)
class Host:
    """A namespace that stays as long as the `with` block of `three_hosts`."""

    name: str

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be on this host: sockets and processes of this thread are there."""
        before = os.open(HERE, os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(before)
            os.close(there)
            os.close(before)


@dataclass(frozen=True)
class Cable:
    """Joins a worker's host to the database's."""

    host: Host
    database: Host
    number: int

    @property
    def address(self) -> str:
        """The database's, as the worker sees it."""
        return f"10.213.{self.number}.1"

    def pull(self) -> None:
        """From now on nothing passes, and nobody is told."""
        _ip("-n", self.database.name, "link", "set", f"to-{self.number}", "down")

    def plug(self) -> None:
        """Let everything pass again, what is still being sent included."""
        _ip("-n", self.database.name, "link", "set", f"to-{self.number}", "up")

    def lay(self) -> None:
        ends = ((self.database, f"to-{self.number}", 1), (self.host, "to-database", 2))
        (near, name, _), (far, other, _) = ends
        _ip(
            "-n", near.name, "link", "add", name, "type", "veth",
            "peer", "name", other, "netns", far.name,
        )  # fmt: skip
        for host, end, last in ends:
            _ip("-n", host.name, "addr", "add", f"10.213.{self.number}.{last}/24", "dev", end)
            _ip("-n", host.name, "link", "set", end, "up")


@contextmanager
def three_hosts() -> Iterator[tuple[Host, list[Cable]]]:
    """Lend the database's host, and the cables to two others.

    Raises:
        NotPermittedError: with the machine's own words.
    """
    mark = secrets.token_hex(3)
    with ExitStack() as undo:
        hosts = []
        for name in ("database", "a", "b"):
            host = Host(f"dibs-{mark}-{name}")
            _ip("netns", "add", host.name)
            undo.callback(_ip, "netns", "del", host.name)
            _ip("-n", host.name, "link", "set", "lo", "up")
            hosts.append(host)
        database, *others = hosts
        cables = [Cable(host, database, number) for number, host in enumerate(others)]
        for cable in cables:
            cable.lay()
        yield database, cables


def _ip(*arguments: str) -> None:
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotPermittedError("the ip program (iproute2) is missing") from error
    except subprocess.CalledProcessError as error:
        raise NotPermittedError(error.stderr.strip()) from error


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
