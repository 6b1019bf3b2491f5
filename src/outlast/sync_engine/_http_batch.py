"""Carry several ops in one HTTP request: an array of requests there, an array of answers back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from outlast.engines.batches import BatchLimits
from outlast.engines.op import Answer, InDoubt
from outlast.outbox import Parcel
from outlast.sync_engine._accepted import answer_to_write

_STATUSES = range(100, 600)


@dataclass(frozen=True, slots=True)
class HttpBatch:
    """Say how a server takes several requests in one.

    It gets `{"requests": [{"id", "method", "path", "headers", "body"}]}`, where `id` is the idempotency key, and
    answers with a JSON array, or `{"responses": [...]}`, of `{"id", "status", "headers", "body"}`. An answer without
    ids must have one item for each request, in their order. This is the form of Kinto and of others.

    Args:
        path: Where the batches go, below the base address. Default `batch`.
        limits: How large a batch may be; it is halved when the server answers 413.
    """

    path: str = "batch"
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(max_count=25))


def encode_batch(parcels: Sequence[Parcel]) -> bytes | None:
    """Return the body of a batch, None when one of its bodies is no JSON and so cannot be put into it."""
    try:
        return b'{"requests":[' + b",".join(map(_request, parcels)) + b"]}"
    except (ValueError, RecursionError):
        return None


def _request(parcel: Parcel) -> bytes:
    op, request = parcel
    parts = urlsplit(request.url)
    shown = {
        "id": op.key, "method": request.method, "path": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "headers": dict(request.headers),
    }  # fmt: skip
    head = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
    if request.body is None:
        return head
    json.loads(request.body.decode(), parse_constant=_refuse)
    # As it was sealed: read and written anew, a number of many digits would be another one.
    return b'%b,"body":%b}' % (head[:-1], request.body)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def decode_batch(parcels: Sequence[Parcel], body: bytes, wall: float) -> Mapping[int, Answer]:
    """Return what an answer says of each op, by place; what it does not say is left out.

    Args:
        parcels: What was sent.
        body: The body of the answer.
        wall: Unix seconds now, for a Retry-After date.
    """
    items = _items(body)
    by_key = {item["id"]: item for item in items if isinstance(item.get("id"), str)}
    if any("id" in item for item in items) or len(items) != len(parcels):
        found = {op.seq: by_key[op.key] for op, _ in parcels if op.key in by_key}
    else:
        found = {op.seq: item for (op, _), item in zip(parcels, items, strict=True)}
    return {seq: _answer(item, wall) for seq, item in found.items()}


def _items(body: bytes) -> list[dict[str, Any]]:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get("responses")
    if not isinstance(value, list):
        return []
    # An item that is none keeps its place in the order, and says nothing.
    return [_object(item) for item in cast("list[object]", value)]


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _answer(item: Mapping[str, Any], wall: float) -> Answer:
    status = item.get("status")
    if not isinstance(status, int) or status not in _STATUSES:
        return InDoubt("its part of the answer has no status")
    lower = {name.lower(): str(value) for name, value in _object(item.get("headers")).items()}
    return answer_to_write(status, lower, json.dumps(item.get("body")).encode(), wall)
