"""A TCP proxy that can be told to misbehave, to stand between clients and their database.

```
client ──> Proxy ──> server
             │
             ├── open      passes everything on
             ├── delay     passes everything on, late
             ├── hold      passes nothing on, and all of it later: a partition of the network
             └── deaf      takes everything and passes it on never: a hung middlebox
```
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` a reset."""


class Link:
    """One client's connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.deaf = False
        """Bytes were swallowed: nothing more will ever pass."""
        self.held = False
        """What comes in waits until the proxy is healed."""
        self.gone = False
        """One of its ends hung up."""

    def close(self) -> None:
        """Hang up on both ends, by a reset."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            end.close()

    def half_close(self) -> None:
        """Tell the client that the server has nothing more to say; the server hears nothing."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)


class Proxy:
    """Passes on what arrives at its port, as long as it is not told otherwise.

    What was swallowed is lost: a connection that was deaf stays deaf after `heal`, and whoever
    waits for its answer waits for ever. What was held passes on after `heal`, even if the client
    has left meanwhile.
    """

    def __init__(self, url: str) -> None:
        """Stand in front of the PostgreSQL server of `url`."""
        self.server_url = url
        self._parts = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.faults = 0
        """How often it was told to misbehave."""
        self._links: set[Link] = set()
        self._changed = threading.Condition()
        self._delay = 0.0
        self._trap, self._after = b"", False
        self._held = self._deaf = self._closed = False
        self._start(self._accept)

    @property
    def url(self) -> str:
        """The same database, through the proxy."""
        user = self._parts.username or "postgres"
        return self._parts._replace(netloc=f"{user}@127.0.0.1:{self.port}").geturl()

    @property
    def deafened(self) -> int:
        """How many connections were made deaf that no end has left yet."""
        with self._changed:
            return sum(link.deaf and not link.gone for link in self._links)

    # --- Commands --------------------------------------------------------------------------

    def drop(self) -> None:
        """Reset every connection; new ones pass."""
        self._for_each(Link.close)

    def half_close(self) -> None:
        """Shut one direction of every connection: the server's words; new ones pass."""
        self._for_each(Link.half_close)

    def delay(self, seconds: float) -> None:
        """Pass on every packet so much later, in each direction."""
        self._set(delay=seconds)

    def deafen(self) -> None:
        """Swallow from now on what comes in, on old and on new connections."""
        self._set(deaf=True)

    def hold(self) -> None:
        """Keep from now on what comes in, in both directions, until `heal`."""
        self._set(held=True)

    def trap(self, words: bytes, *, after: bool = False) -> None:
        """Hold the next connection that says these words, and no other; `after` they passed."""
        with self._changed:
            self.faults += 1
            self._trap, self._after = words, after

    @property
    def trapped(self) -> bool:
        """Whether a connection is held that said the words of the trap."""
        with self._changed:
            return any(link.held for link in self._links)

    def heal(self) -> None:
        """Pass on what was held; new connections are as good as ever."""
        with self._changed:
            self._delay, self._held, self._deaf = 0.0, False, False
            for link in self._links:
                link.held = False
                if link.deaf and link.gone:
                    link.close()
            self._changed.notify_all()

    def close(self) -> None:
        """End it and every connection."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for link in self._links:
                link.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- Inside ----------------------------------------------------------------------------

    def _for_each(self, command: object) -> None:
        with self._changed:
            self.faults += 1
            for link in self._links:
                command(link)  # type: ignore[operator]

    def _set(self, *, delay: float = 0.0, held: bool = False, deaf: bool = False) -> None:
        with self._changed:
            self.faults += 1
            self._delay, self._held, self._deaf = delay, held, deaf
            for link in self._links:
                link.deaf |= deaf

    @staticmethod
    def _start(target: object, *args: object) -> None:
        threading.Thread(target=target, args=args, name="proxy", daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((self._parts.hostname, self._parts.port))
            except OSError:  # as if nobody listened
                client.close()
                continue
            link = Link(client, server)
            with self._changed:
                if self._closed:
                    link.close()
                    return
                link.deaf = self._deaf
                self._links.add(link)
            self._start(self._pump, link, client, server)
            self._start(self._pump, link, server, client)

    def _pump(self, link: Link, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self._may_pass(link, data):
                    sink.sendall(data)
            if self._may_pass(link, b""):  # what is deaf passes on no end either
                sink.shutdown(socket.SHUT_WR)
        with self._changed:
            if link.gone and not link.deaf:
                link.close()
                self._links.discard(link)
            link.gone = True

    def _may_pass(self, link: Link, data: bytes) -> bool:
        """Return whether what came in goes on, as soon as it does."""
        with self._changed:
            if self._trap and self._trap in data:
                link.held, self._trap = True, b""
                if self._after:
                    return True
            self._changed.wait_for(lambda: not (self._held or link.held) or self._closed)
            delay = self._delay
        if delay:
            time.sleep(delay)  # this is the fault
        return not link.deaf
