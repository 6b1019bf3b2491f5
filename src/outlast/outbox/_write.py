"""What somebody wants to have done, checked before it is queued."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Self

from outlast.engines.op import Verb
from outlast.errors import ConfigError

_JSON: Final = "application/json"
_PLAIN: Final = (_JSON, None, None, None, None, None, "strict", None, 0, None)
"""All that a write has behind its body when nothing is said of it."""


class _Write(NamedTuple):
    verb: Verb
    kind: str
    entity: str
    body: bytes | None
    content_type: str
    if_match: str | None
    target: str | None
    lane: str | None
    once: str | None
    after: int | None
    order: Literal["strict", "mutex"]
    expires: float | None
    schema: int
    base: bytes | None


class Write(_Write):
    """Describe a write that somebody wants done.

    A tuple, because one is made for every write and a frozen dataclass takes five times as long to make.

    Args:
        verb: What it does.
        kind: The type of the entity, such as `note`.
        entity: The id of the entity.
        body: The bytes to send, or None for a delete.
        content_type: The media type of the body. Default JSON.
        if_match: The version that the write is based on, as an ETag with its quotes, or None.
        target: Where to send it, a URL or a path, or None to let the transport's routes decide.
        lane: Writes of one lane are delivered one after the other. Default: the entity's own.
        once: A name under which this write is queued at most once, ever, or None.
        after: The place of another write that must be delivered before this one, or None.
        order: `strict`: while it waits for its next attempt, those behind it in its lane wait too. `mutex`: they may
            go, only never at the same time. Default `strict`.
        expires: Seconds from now after which it is given up, unless it may be on the wire; None for never.
        schema: The version of the shape of the body, >= 0. Default 0.
        base: The entity as its author saw it, own writes that wait included, or None when that is not known. What came
            to be in between, by others or by a write in front of it that the author did not see, is merged with it.

    Raises:
        ConfigError: Nobody could deliver it.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        verb: Verb,
        kind: str,
        entity: str,
        body: bytes | None = None,
        content_type: str = _JSON,
        if_match: str | None = None,
        target: str | None = None,
        lane: str | None = None,
        once: str | None = None,
        after: int | None = None,
        order: Literal["strict", "mutex"] = "strict",
        expires: float | None = None,
        schema: int = 0,
        base: bytes | None = None,
    ) -> Self:
        """Refuse a write that nobody could deliver."""
        self = super().__new__(
            cls, verb, kind, entity, body, content_type, if_match, target, lane, once, after, order, expires, schema,
            base,
        )  # fmt: skip
        if not kind or not entity:
            raise ConfigError(f"a write needs a kind and an entity id, not {kind!r} and {entity!r}", path="write")
        if body is None and verb is not Verb.DELETE:
            raise ConfigError(f"a {verb.value} needs a body", path="write.body")
        _check_bytes("body", body)
        _check_text("kind", kind)
        _check_text("entity", entity)
        if self[4:] != _PLAIN:
            self._check_options()
        return self

    @classmethod
    def plain(cls, verb: Verb, kind: str, entity: str, body: bytes | None) -> Self:
        """Make a write of which nothing but its content is said: as above, in half the time, for most are so.

        >>> Write.plain(Verb.PUT, "note", "n1", b"{}") == Write(verb=Verb.PUT, kind="note", entity="n1", body=b"{}")
        True
        """
        texts = type(kind) is str and type(entity) is str and kind.isascii() and entity.isascii()
        if texts and kind and entity and type(body) is bytes:
            return cls._make((verb, kind, entity, body, *_PLAIN))
        return cls(verb=verb, kind=kind, entity=entity, body=body)  # which says what is wrong, if something is

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        """Return what a copy is made of."""
        return (), self._asdict()

    def _check_options(self) -> None:
        _check_bytes("base", self.base)
        for name in ("target", "lane", "once"):
            if getattr(self, name) is not None:
                _check_text(name, getattr(self, name))
        check_header("content_type", self.content_type)
        if self.if_match is not None:
            check_header("if_match", self.if_match)
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.after is not None:
            _check_whole("after", self.after, 1)
        _check_whole("schema", self.schema, 0)
        if self.order not in {"strict", "mutex"}:
            raise ConfigError(f"must be 'strict' or 'mutex', not {self.order!r}", path="write.order")
        if self.expires is not None and not 0 < self.expires < math.inf:
            raise ConfigError(f"must be above 0 seconds, not {self.expires!r}", path="write.expires")

    @property
    def is_plain(self) -> bool:
        """Tell whether nothing is said of it but what it does."""
        return self[4:] == _PLAIN

    @property
    def lane_id(self) -> int:
        """Return the number of its lane; two lanes that share one only lose parallelism, never order."""
        name = f"{self.kind}\x1f{self.entity}" if self.lane is None else self.lane
        return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def _check_bytes(name: str, value: object) -> None:
    if value is not None and not isinstance(value, bytes):
        raise ConfigError(f"the {name} must be bytes, not {type(value).__name__}", path=f"write.{name}")


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise ConfigError(f"must be a whole number from {least}, not {value!r}", path=f"write.{name}")


def _check_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"must be a text, not {type(value).__name__}", path=f"write.{name}")
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("holds half of a surrogate pair, which is no character", path=f"write.{name}") from error
    return value


def check_header(name: str, value: object) -> None:
    """Refuse what cannot be sent as a header.

    Raises:
        ConfigError: It is no text, or not one line of ASCII.
    """
    text = _check_text(name, value)
    # What cannot be one would be tried in vain for ever.
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ConfigError(f"{text!r} cannot be sent as a header", path=f"write.{name}")
