"""The columns of an op, and an op from a row of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from outlast.engines.op import OpState, Verb
from outlast.errors import CorruptError
from outlast.outbox._identity import Identity
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._records import Op

NEW: Final = (
    "lane, verb, kind, entity, generation, target, content_type, if_match, created, body,"
    " grp, after_seq, schema_v, rounds, expires, base, passable"
)
OP: Final = f"seq, {NEW}"


_VERBS: Final = {verb.value: verb for verb in Verb}
_MOST_LISTED: Final = 1024
_MOST_ROWS: Final = 256
"""Rows to a statement; the driver remembers how one is run only while its text has less than 16 KiB."""


@cache
def _marks(count: int) -> str:
    return f"({','.join('?' * count)})"


def listed(places: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
    """Cut places into lists for `IN`, each with its marks and what is bound to them.

    The last place is repeated up to a power of two, so that few statements serve any number.

    >>> list(listed([4, 5, 6]))
    [('(?,?,?,?)', [4, 5, 6, 6])]
    """
    for begin in range(0, len(places), _MOST_LISTED):
        some = list(places[begin : begin + _MOST_LISTED])
        count = 1 << (len(some) - 1).bit_length()
        yield _marks(count), some + some[-1:] * (count - len(some))


def verb_of(text: str, seq: int) -> Verb:
    """Return what a write does.

    Raises:
        CorruptError: Nobody knows, because its row is damaged.
    """
    try:
        return _VERBS[text]
    except KeyError:
        raise CorruptError(
            f"write {seq} is damaged, its verb reads {text!r}; see: outlast outbox doctor", operation="outbox"
        ) from None


def state_of(text: str, seq: int) -> OpState:
    """Return what became of a write.

    Raises:
        CorruptError: Nobody knows, because its row is damaged.
    """
    try:
        return OpState(text)
    except ValueError:
        raise CorruptError(
            f"write {seq} is damaged, its state reads {text!r}; see: outlast outbox doctor", operation="outbox"
        ) from None


def read_op(row: Sequence[Any], identity: Identity, bodies: Bodies) -> Op:
    """Build an op from a row of the columns of `op`.

    Raises:
        CorruptError: The codec cannot read its body, or its row is damaged.
    """
    (
        seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body,
        group, after, schema, rounds, expires, base, _,
    ) = row  # fmt: skip
    if bodies.name is not None:
        body, base = bodies.unpack(body), bodies.unpack(base)
    return Op(
        seq, generation, identity.key(seq, generation), lane, _VERBS.get(verb) or verb_of(verb, seq), kind, entity,
        target, body, content_type, if_match, created, group, after, schema, rounds, expires, base,
    )  # fmt: skip


def chunks(count: int) -> Iterator[int]:
    """Cut a number of rows into powers of two, so that few statements serve any number.

    >>> list(chunks(11))
    [8, 2, 1]
    """
    size = _MOST_ROWS
    while count:
        while size > count:
            size //= 2
        yield size
        count -= size
