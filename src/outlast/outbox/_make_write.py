"""Make a write of what a caller gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

from outlast.config import check_known
from outlast.engines.op import Verb
from outlast.errors import ConfigError
from outlast.outbox._write import Write
from outlast.storage import require

_OPTIONS: Final = ("after", "base", "expires", "if_match", "lane", "once", "order", "schema", "target")


def make_write(verb: Verb, kind: str, entity: str, body: Any, options: Mapping[str, Any]) -> Write:
    """Build a write; a body that is not bytes is encoded as JSON.

    Raises:
        ConfigError: The body cannot be written as JSON, or an option is unknown.
    """
    if not options:
        return Write.plain(verb, kind, entity, encode_body(body))
    check_known(options, _OPTIONS, path=verb.value)
    fields: dict[str, Any] = {
        **options,
        "base": encode_body(options.get("base")),
        "after": getattr(options.get("after"), "seq", options.get("after")),  # a ticket or its place
    }
    return Write(verb=verb, kind=kind, entity=entity, body=encode_body(body), **fields)


def encode_body(body: Any) -> bytes | None:
    """Return bytes as they are, None as None, and anything else as JSON.

    Raises:
        ConfigError: It cannot be written as JSON, or only with NaN turned into null.
    """
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, (bytearray, memoryview)):
        return bytes(cast("bytes", body))
    codec = _codec()
    try:
        encoded = codec.encode(body)
        # It writes NaN as null, and in a merge patch null deletes.
        faithful = b"null" not in encoded or not _has_no_number(codec.to_builtins(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the body cannot be written as JSON: {error}", path="body") from error
    if not faithful:
        raise ConfigError("the body cannot be written as JSON: NaN and infinity are no JSON numbers", path="body")
    return encoded


class _Codec(NamedTuple):
    encode: Callable[[Any], bytes]
    to_builtins: Callable[[Any], Any]


@cache
def _codec() -> _Codec:
    msgspec = require("msgspec", extra="store", purpose="the outbox")
    return _Codec(msgspec.json.Encoder().encode, msgspec.to_builtins)


def _has_no_number(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case dict():
            return any(map(_has_no_number, cast("Mapping[Any, Any]", value).values()))
        case list() | tuple():
            return any(map(_has_no_number, cast("Sequence[Any]", value)))
        case _:
            return False
