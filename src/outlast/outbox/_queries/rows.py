"""The columns of an op, and an op from a row of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from outlast.engines.op import Verb
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._records import Op

NEW: Final = (
    "lane, verb, kind, entity, generation, target, content_type, if_match, created, body,"
    " grp, after_seq, schema_v, rounds, expires, base, passable"
)
OP: Final = f"seq, {NEW}"


def read_op(row: Sequence[Any], store: str, bodies: Bodies) -> Op:
    """Build an op from a row of the columns of `op`.

    Raises:
        CorruptError: The codec cannot read its body.
    """
    seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body = row[:11]
    group, after, schema, rounds, expires, base, _ = row[11:]
    return Op(
        seq=seq, generation=generation, key=f"{store}:{seq}:{generation}", lane=lane, verb=Verb(verb), kind=kind,
        entity=entity, target=target, body=bodies.unpack(body), content_type=content_type, if_match=if_match,
        created_at=created, group=group, after=after, schema=schema, rounds=rounds, expires_at=expires,
        base=bodies.unpack(base),
    )  # fmt: skip
