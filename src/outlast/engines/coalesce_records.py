"""What the coalescer looks at and what it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.engines.op import Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class OpView:
    """Show the coalescer one write.

    Args:
        verb: What it does.
        kind: The type of the entity.
        entity: The id of the entity.
        seq: Its place, 0 for one that is not queued yet.
        body: The bytes, or None.
        content_type: The media type of the body.
        if_match: The version that it is based on; None for whatever the one before it makes.
        base: What its author saw, in whatever form the caller keeps that.
        route: Whatever else must agree, such as target, lane and schema version.
        group: The transaction that it belongs to, or None.
        after: The place of the op that it waits for, or None.
        expires: Unix seconds at which it is given up, or None.
        sealed: Whether it was ever claimed, also under an earlier generation.
        awaited: Whether an op waits for it, or one of another entity refers to what it creates.
        followed: Whether its lane holds an op of another entity behind it.
    """

    verb: Verb
    kind: str
    entity: str
    seq: int = 0
    body: bytes | None = None
    content_type: str = "application/json"
    if_match: str | None = None
    base: Any = None
    route: tuple[str | int | None, ...] = ()
    group: str | None = None
    after: int | None = None
    expires: float | None = None
    sealed: bool = False
    awaited: bool = False
    followed: bool = False


@dataclass(frozen=True, slots=True)
class Append:
    """Queue the new write behind the others.

    Args:
        reason: Why it was not folded.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Let one queued op become this, at its place; the new write's caller is told that it was merged.

    Args:
        op: The op as it is from now on.
        removed: The places of later ops that it now speaks for; their callers are told the same.
    """

    op: OpView
    removed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Annihilate:
    """Take these ops out and queue nothing; all callers are told that the writes cancelled each other out.

    Args:
        removed: The places.
    """

    removed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the new write: its author is mistaken about the entity.

    Args:
        reason: Why, and what to do instead.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class NoOp:
    """Queue nothing: what the new write wants is queued already; its caller follows that op.

    Args:
        seq: The place of that op.
        expires: Until when it is wanted now, which is as long as the new write is, or None.
    """

    seq: int
    expires: float | None = None


Decision = Append | Replace | Annihilate | Reject | NoOp
