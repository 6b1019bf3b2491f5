"""Say why a write that was found must not simply go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from outlast.outbox._doctor.examine import is_broken_json, sealed_is_whole
from outlast.outbox._doctor.finds import Found, Row
from outlast.outbox._doctor.ranges import Ranges


def parked_doubts(found: Found) -> Iterator[str]:
    """Yield what is doubtful about a write that waits for a decision anyway."""
    yield found.doubts
    if found.elsewhere:
        yield "it seems to wait at the same time"
    if found.settled:
        yield "a receipt says that it is settled"


def doubts(found: Found, *, missing: Ranges, unsealed: Ranges, plain: bool) -> Iterator[str]:
    """Yield why a write that waits must not simply go on; an empty text is no reason.

    Args:
        found: It.
        missing: Places at which a write may have been lost.
        unsealed: Places at which what tells that a write was sent may have been lost.
        plain: Whether bodies are written as they are, by no codec.
    """
    op, seq, after = found.values, found.values["seq"], found.values["after_seq"]
    yield found.doubts
    if found.settled:
        yield "a receipt says that it is settled"
    if found.sealed is not None:
        yield from _sealed_doubts(found.sealed, op["body"])
    elif seq in unsealed:
        yield "it may have been sent: what tells so could not be read"
    if plain and op["content_type"] == "application/json" and is_broken_json(op["body"]):
        yield "its body was JSON and is none any more"
    if (after or 0) >= seq:
        yield "it comes after a write that was queued later"
    if after is not None and after in missing:
        yield f"it comes after write {after}, which could not be read"


def _sealed_doubts(row: Row, own: bytes | None) -> Iterator[str]:
    sealed, guessed = row
    yield guessed
    body = own if sealed["body"] is None else sealed["body"]
    if not sealed_is_whole(sealed["headers"], sealed["body_hash"], body):
        yield "it was sent, and its sealed bytes are damaged"


def accepted_is_whole(text: Any) -> bool:
    """Tell whether what is known of a server that has accepted an op can be read."""
    try:
        return text is None or isinstance(json.loads(text)["url"], str)
    except (KeyError, TypeError, ValueError):
        return False
