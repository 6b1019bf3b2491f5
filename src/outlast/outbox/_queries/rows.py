"""The columns of an op, and an op from a row of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from outlast.engines.op import Verb
from outlast.errors import CorruptError
from outlast.outbox._identity import Identity
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._records import Op

NEW: Final = (
    "lane, verb, kind, entity, generation, target, content_type, if_match, created, body,"
    " grp, after_seq, schema_v, rounds, expires, base, passable"
)
OP: Final = f"seq, {NEW}"


def verb_of(text: str, seq: int) -> Verb:
    """Return what a write does.

    Raises:
        CorruptError: Nobody knows, because its row is damaged.
    """
    try:
        return Verb(text)
    except ValueError:
        raise CorruptError(
            f"write {seq} is damaged, its verb reads {text!r}; see: outlast outbox doctor", operation="outbox"
        ) from None


def read_op(row: Sequence[Any], identity: Identity, bodies: Bodies) -> Op:
    """Build an op from a row of the columns of `op`.

    Raises:
        CorruptError: The codec cannot read its body, or its row is damaged.
    """
    seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body = row[:11]
    group, after, schema, rounds, expires, base, _ = row[11:]
    return Op(
        seq=seq, generation=generation, key=identity.key(seq, generation), lane=lane, verb=verb_of(verb, seq),
        kind=kind, entity=entity, target=target, body=bodies.unpack(body), content_type=content_type,
        if_match=if_match, created_at=created, group=group, after=after, schema=schema, rounds=rounds,
        expires_at=expires, base=bodies.unpack(base),
    )  # fmt: skip
