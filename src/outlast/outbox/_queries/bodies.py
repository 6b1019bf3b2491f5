"""How bodies are written into the tables: as they are, or by a codec of the user."""

from __future__ import annotations

from typing import Final, Protocol

from outlast.errors import CorruptError

_PROBE: Final = b"outlast"


class BodyCodec(Protocol):
    """Turn bodies into what lies in the database and back, such as by encrypting them.

    Both methods are called inside transactions, in other threads, and must be pure but for chance. Keys are the
    codec's own affair: one that rotates them tells by what it reads which key was used.
    """

    @property
    def name(self) -> str:
        """Return a name that is noted in the outbox, so that nobody opens it with another codec or none."""
        ...

    def encode(self, body: bytes) -> bytes:
        """Return what is stored; two calls may return different bytes."""
        ...

    def decode(self, stored: bytes) -> bytes:
        """Return the body; raise if it cannot be had, because the key is another one or the bytes were changed."""
        ...


class Bodies:
    """Write bodies and read them.

    Args:
        codec: What turns them into what is stored, or None to store them as they are.
    """

    def __init__(self, codec: BodyCodec | None = None) -> None:
        self._codec = codec
        self.name: Final = None if codec is None else codec.name
        """The name of the codec, None when bodies are stored as they are."""

    def pack(self, body: bytes | None) -> bytes | None:
        """Return what is stored of a body."""
        return body if self._codec is None or body is None else self._codec.encode(body)

    def unpack(self, stored: bytes | None) -> bytes | None:
        """Return the body of what is stored.

        Raises:
            CorruptError: The codec cannot read it.
        """
        if self._codec is None or stored is None:
            return stored
        try:
            return self._codec.decode(stored)
        except Exception as error:
            raise CorruptError(
                f"the codec {self.name!r} cannot read a body ({type(error).__name__}: {error})"
            ) from error

    def probe(self) -> str:
        """Return what is noted in an outbox, so that another key is found out when it is opened."""
        return (self.pack(_PROBE) or b"").hex()

    def knows(self, probe: str) -> bool:
        """Tell whether what was noted can be read."""
        try:
            return self.unpack(bytes.fromhex(probe)) == _PROBE
        except (CorruptError, TypeError, ValueError):
            return False


PLAIN: Final = Bodies()
