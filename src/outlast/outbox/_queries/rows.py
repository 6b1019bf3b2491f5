"""The columns of an op, and an op from a row of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from outlast.engines.op import Verb
from outlast.outbox._identity import Identity, identity_of
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Op

NEW: Final = (
    "lane, verb, kind, entity, generation, target, content_type, if_match, created, body,"
    " grp, after_seq, schema_v, rounds, expires, base, passable"
)
OP: Final = f"seq, {NEW}"


IDENTITY: Final = "SELECT name, value FROM $meta"


def identity(db: Tables) -> Identity:
    """Return the outbox's own part of every idempotency key."""
    return identity_of(db.execute(IDENTITY))


def read_op(row: Sequence[Any], identity: Identity) -> Op:
    """Build an op from a row of the columns of `op`."""
    seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body = row[:11]
    group, after, schema, rounds, expires, base, _ = row[11:]
    return Op(
        seq=seq, generation=generation, key=identity.key(seq, generation), lane=lane, verb=Verb(verb), kind=kind,
        entity=entity, target=target, body=body, content_type=content_type, if_match=if_match, created_at=created,
        group=group, after=after, schema=schema, rounds=rounds, expires_at=expires, base=base,
    )  # fmt: skip
