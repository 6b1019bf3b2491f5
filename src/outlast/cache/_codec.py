"""Turn values into bytes and back, without ever guessing a type."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol, cast

from outlast.errors import SchemaError
from outlast.storage import require

if TYPE_CHECKING:
    import msgspec

_SCALARS = frozenset({bool, bytes, float, int, str, type(None)})


class Codec(Protocol):
    """Encode values for a file."""

    @property
    def fingerprint(self) -> str:
        """Return a text that changes with the type: bytes stored under another one read as a miss."""
        ...

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value; raise if it cannot come back as it is."""
        ...

    def decode(self, data: bytes) -> Any:
        """Return the value of bytes; raise if they are none."""
        ...


class PlainCodec:
    """Encode what MessagePack brings back unchanged: None, bool, int, float, str, bytes, and lists and dicts of them.

    Anything else is refused rather than returned as something similar: a dataclass as a dict, a tuple as a list.

    Raises:
        MissingExtraError: msgspec is not installed.
    """

    fingerprint = "plain-1"

    def __init__(self) -> None:
        library = _msgspec()
        self._encoder = cast("msgspec.msgpack.Encoder", library.msgpack.Encoder())
        self._decoder = cast("msgspec.msgpack.Decoder[Any]", library.msgpack.Decoder())

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a plain value.

        Raises:
            SchemaError: It is not plain; the error says where.
        """
        _check_plain(value, "$")
        try:
            return self._encoder.encode(value)
        except (OverflowError, ValueError) as error:
            raise SchemaError(f"cannot be stored on disk: {error}") from error

    def decode(self, data: bytes) -> Any:
        """Return the value."""
        return self._decoder.decode(data)


class MsgspecCodec:
    """Encode values of one declared type, and check them when they come back.

    Args:
        kind: A `msgspec.Struct`, a dataclass, a TypedDict or any type that msgspec knows.

    Raises:
        MissingExtraError: msgspec is not installed.

    >>> codec = MsgspecCodec(dict[str, int])
    >>> codec.decode(codec.encode({"a": 1}))
    {'a': 1}
    """

    def __init__(self, kind: Any) -> None:
        library = _msgspec()
        self._encoder = cast("msgspec.msgpack.Encoder", library.msgpack.Encoder())
        self._decoder = cast("msgspec.msgpack.Decoder[Any]", library.msgpack.Decoder(kind))
        self.fingerprint = _fingerprint(library.json.schema, kind)

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value."""
        return self._encoder.encode(value)

    def decode(self, data: bytes) -> Any:
        """Return the value, checked against the type."""
        return self._decoder.decode(data)


def _msgspec() -> Any:
    return require("msgspec", extra="store", purpose="a cache on disk")


def _fingerprint(schema_of: Any, kind: Any) -> str:
    try:
        shape = json.dumps(schema_of(kind), sort_keys=True)
    except TypeError:
        shape = ""  # a type that JSON Schema cannot describe is known by its name alone
    name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"
    return hashlib.blake2b(f"{name}\n{shape}".encode(), digest_size=12).hexdigest()


def _check_plain(value: object, path: str) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is list:
        for index, item in enumerate(cast("list[object]", value)):
            _check_plain(item, f"{path}[{index}]")
    elif kind is dict:
        for key, item in cast("dict[object, object]", value).items():
            if type(key) not in {str, int}:
                raise SchemaError(f"a key of type {type(key).__name__} cannot be stored on disk", path=path)
            _check_plain(item, f"{path}.{key}")
    else:
        raise SchemaError(
            f"{path} is a {kind.__name__}, which would come back from disk as something else; "
            f"give the cache a codec, such as codec=MsgspecCodec({kind.__name__})",
            path=path,
        )
