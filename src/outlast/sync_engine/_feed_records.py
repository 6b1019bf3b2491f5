"""What a feed carries, and how a server writes it down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

_SEQS: Final = 1 << 63
"""No place may be as great: SQLite numbers end there."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """Hold one change that a feed tells of.

    Args:
        seq: Its place in the feed, which rises by one from event to event; None when the server gives none, and then a
            push is only a hint to pull.
        cursor: Where to go on pulling behind it, or None when only a page says so.
        entity: What changed; empty when the server does not say.
        body: The new content, as the server sent it.
        deleted: Whether the entity is gone.
        key: The idempotency key of the write that caused it, or None.
        own: Whether that write is our own: such an event updates what is stored, and is news to nobody.
    """

    seq: int | None = None
    cursor: str | None = None
    entity: str = ""
    body: Any = None
    deleted: bool = False
    key: str | None = None
    own: bool = False


HINT = FeedEvent()
"""A push that only says that there is something to pull."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Hold what one pull brought.

    Args:
        events: The events, in order.
        cursor: Where to go on; None when it is where it was.
        more: Whether there is more to pull at once.
        seq: The place of the last event before `cursor`, where the server says it.
    """

    events: tuple[FeedEvent, ...]
    cursor: str | None
    more: bool = False
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Say up to where a feed was applied.

    Args:
        cursor: Where to go on pulling, or None for the beginning.
        seq: The place of the last event that was applied, or None when it is not known.
    """

    cursor: str | None = None
    seq: int | None = None


class FeedFormat(Protocol):
    """Know how a server writes a feed down. What cannot be read raises ValueError."""

    def query(self, cursor: str | None, limit: int, wait: float | None) -> Mapping[str, str]:
        """Return the parameters of a pull behind a cursor; with `wait` the server holds it for so many seconds."""
        ...

    def page(self, body: bytes) -> FeedPage:
        """Read the answer to a pull."""
        ...

    def push(self, data: str | bytes, event_id: str) -> FeedEvent:
        """Read a push; `event_id` is that of a server-sent event, or empty."""
        ...


class JsonFeed:
    """Read a feed in JSON.

    A pull is `GET URL?cursor=17&limit=500` (with `&wait=25` to be held), and its answer
    `{"events": [...], "cursor": "19", "more": false}`. An event, pulled or pushed, is an object with the members of
    `FeedEvent`; all are optional. Where it has no `cursor`, the id of the server-sent event or the `seq` is taken, and
    where a page has none, that of its last event. What could not be stored is not read: text that is no Unicode, and a
    `seq` of more than 64 bits.

    >>> JsonFeed().push('{"seq": 18, "entity": "note/1", "body": {"text": "hello"}}', "").cursor
    '18'
    """

    def query(self, cursor: str | None, limit: int, wait: float | None) -> Mapping[str, str]:
        """Return the parameters of a pull."""
        given = {"cursor": cursor, "limit": str(limit), "wait": None if wait is None else f"{wait:g}"}
        return {name: value for name, value in given.items() if value is not None}

    def page(self, body: bytes) -> FeedPage:
        """Read the answer to a pull; an empty one holds nothing."""
        if not body:
            return FeedPage((), None)
        value = _object(json.loads(body))
        read = tuple(_event(_object(event), "") for event in _list(value.get("events")))
        cursor = _text(value, "cursor") or (read[-1].cursor if read else None)
        return FeedPage(read, cursor, bool(value.get("more")), _whole(value, "seq"))

    def push(self, data: str | bytes, event_id: str) -> FeedEvent:
        """Read a push."""
        return _event(_object(json.loads(data)), event_id)


def _event(value: Mapping[str, Any], event_id: str) -> FeedEvent:
    seq = _whole(value, "seq")
    cursor = _text(value, "cursor") or event_id or (None if seq is None else str(seq))
    return FeedEvent(
        seq=None if cursor is None else seq,
        cursor=cursor,
        entity=_text(value, "entity") or "",
        body=value.get("body"),
        deleted=bool(value.get("deleted")),
        key=_text(value, "key"),
    )


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, not {type(value).__name__}")  # noqa: TRY004 - as json.loads does
    return cast("Mapping[str, Any]", value)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError("the page has no list of `events`")  # noqa: TRY004 - the same
    return cast("Sequence[Any]", value)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    member = value.get(name)
    if member is None:
        return None
    text = str(member)
    text.encode()  # half of a surrogate pair, which JSON can hold, raises a ValueError
    return text


def _whole(value: Mapping[str, Any], name: str) -> int | None:
    member = value.get(name)
    return member if isinstance(member, int) and not isinstance(member, bool) and abs(member) < _SEQS else None
