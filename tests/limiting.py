"""What the tests of bounds share: outboxes that have some, and what is counted for them."""

from __future__ import annotations

import asyncio

from delivering import Server, deliver, opened
from outlast.outbox import OutboxLimits


def limited(face, place, *, options=None, **limits):
    """Open an outbox with bounds."""
    return face.open(place, durability="process", limits=OutboxLimits(**limits), **(options or {}))


def delivered(place, server=None, **options):
    """Deliver what waits, from another handle."""

    async def run():
        async with opened(place) as box:
            await deliver(box, server or Server(), **options)

    asyncio.run(run())


def counted(place):
    """Return what the triggers have counted, and what there is."""
    size = "coalesce(length(body), 0) + coalesce(length(base), 0)"
    (found,) = place.execute("SELECT CAST(sum(ops) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM $backlog")
    (real,) = place.execute(f"SELECT count(*), CAST(coalesce(sum({size}), 0) AS BIGINT) FROM $op")
    return tuple(found), tuple(real)
