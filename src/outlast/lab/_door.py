"""The listening socket of the fault proxy, which can refuse connections and come back on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

_BACKLOG = 512


class Door:
    """Accept connections on one loopback port while open, refuse them while shut.

    A shut door still holds a socket that is bound and does not listen: the kernel answers a connect with a reset, and
    no other process gets the port meanwhile. Not thread-safe; opening and shutting take effect at once.

    Args:
        port: Port on 127.0.0.1; 0 picks a free one.
        welcome: Called with each accepted, non-blocking socket; owns it from then on.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int, welcome: Callable[[socket.socket], None]) -> None:
        self._welcome = welcome
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._open = False

    def open(self) -> None:
        """Accept connections from now on."""
        if not self._open:
            self._socket.listen(_BACKLOG)
            asyncio.get_running_loop().add_reader(self._socket, self._accept)
            self._open = True

    def shut(self) -> None:
        """Refuse connections from now on, also those that the kernel has queued."""
        if self._open:
            self.close()
            self._socket = _bound(self.port)

    def close(self) -> None:
        """Give the port back."""
        if self._open:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._open = False
        self._socket.close()

    def _accept(self) -> None:
        # The client may have gone between the selector's word and this call.
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            self._welcome(connection)


def _bound(port: int) -> socket.socket:
    """Bind a loopback socket to the port without listening."""
    # asyncio turns Nagle's delay off only where the protocol is named.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections of the last phase may still be waiting out their time on this port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


__all__ = ["Door"]
