"""Take only as many ops at once as memory has room for, told without reading a body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from outlast.outbox._queries.rows import chunks, listed
from outlast.outbox._queries.tables import SIZE, Tables


def few_enough(db: Tables, seqs: Sequence[int], most: int) -> Sequence[int]:
    """Return the first ops of some that have so many bytes together, and one in any case.

    Args:
        db: The connection.
        seqs: Their places.
        most: Bytes of bodies and bases after which no further op is taken.
    """
    if len(seqs) == 1 or sum(_together(db, seqs)) <= most:
        return seqs
    sizes: dict[int, int] = {}
    begin = 0
    for count in chunks(len(seqs)):
        marks = ", ".join("?" * count)
        query = f"SELECT seq, {SIZE.format(row='o')} FROM $op AS o WHERE seq IN ({marks})"
        sizes.update(db.execute(query, seqs[begin : begin + count]))
        begin += count
    taken = 0
    for number, seq in enumerate(seqs):
        if taken >= most:
            return seqs[:number]
        taken += sizes.get(seq, 0)
    return seqs


def _together(db: Tables, seqs: Sequence[int]) -> Iterator[int]:
    for marks, places in listed(seqs):
        yield int(db.execute(f"SELECT sum({SIZE.format(row='o')}) FROM $op AS o WHERE seq IN {marks}", places).get or 0)
