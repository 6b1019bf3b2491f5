"""Large bodies wait without being in the way of what does not need them."""

from __future__ import annotations

from delivering import Server, deliver, opened, put
from outlast.outbox import Counts


async def test_many_large_bodies_are_never_claimed_together(place, monkeypatch):
    """Of five bodies of 4 MiB that could all go at once four are claimed, and the fifth after them."""
    body, server, claims = b"x" * (4 << 20), Server(), []
    async with opened(place) as box:
        for entity in "abcde":
            await box.enqueue(put(entity, body))
        real = box.core.claim

        def claim(*args):
            claims.append(real(*args))
            return claims[-1]

        monkeypatch.setattr(box.core, "claim", claim)
        await deliver(box, server, concurrency=8)

        assert [len(one.result()) for one in claims] == [4, 1]
        assert [len(op.body) for op in server.seen] == [4 << 20] * 5
        assert await box.counts() == Counts(delivered=5)


def test_what_waits_is_read_in_portions(face, box):
    """Whoever has many large writes need not hold all of them at once."""
    face.do(box.enqueue(*[put(entity) for entity in "abc"], put("x", kind="other"), put("d")))

    first = face.do(box.pending("note", limit=3))
    rest = face.do(box.pending("note", after=first[-1].seq, limit=3))

    assert [[op.entity for op in ops] for ops in (first, rest)] == [["a", "b", "c"], ["d"]]
