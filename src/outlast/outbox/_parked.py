"""A write that waits for a person's decision, with all that is known of both sides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from outlast.engines.json_values import encode
from outlast.engines.op import OpState
from outlast.outbox._records import Op


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedOp:
    """Show a write in the conflict inbox or in the dead letters.

    Args:
        op: The write.
        state: `conflict` or `dead`.
        reason: Why it is there.
        attempts: How often it was sent.
        at: Unix seconds at which it got there.
        found: Whether the server held the entity when it was read back; None when nobody has looked.
        theirs: The body that the server held, as JSON, or None when it is not known.
        etag: The version of theirs, or None.
        report: What the merge made of each field, as JSON, or None when nothing was merged.
    """

    op: Op
    state: OpState
    reason: str
    attempts: int
    at: float
    found: bool | None = None
    theirs: bytes | None = None
    etag: str | None = None
    report: Mapping[str, Any] | None = None

    @property
    def seq(self) -> int:
        """Return its place, by which `replay` and `discard` know it."""
        return self.op.seq

    @property
    def base(self) -> bytes | None:
        """Return the body that the server held when the write was made, or None when it is not known."""
        return self.op.base

    @property
    def ours(self) -> bytes | None:
        """Return the body of the write, None for a delete."""
        return self.op.body


def read_theirs(document: bytes | None) -> dict[str, Any]:
    """Return what is stored of the server's side as fields of a `ParkedOp`.

    >>> read_theirs(b'{"found": true, "etag": "v2", "body": {"n": 1}}')
    {'found': True, 'theirs': b'{"n":1}', 'etag': 'v2', 'report': None}
    """
    if document is None:
        return {}
    try:
        known = cast("dict[str, Any]", json.loads(document))
    except ValueError:  # it is written by a codec that is not at hand
        return {}
    return {
        "found": known.get("found"),
        "theirs": encode(known["body"]) if "body" in known else None,
        "etag": known.get("etag"),
        "report": known.get("report"),
    }
