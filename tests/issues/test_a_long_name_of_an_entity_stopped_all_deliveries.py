"""Of an entity whose name is longer than an index of PostgreSQL takes, the delivery could not be recorded, ever."""

import random

import pytest

from delivering import Server, deliver, opened, put
from outlast.errors import ConfigError
from outlast.outbox import Applied, Counts

CHANCE = random.Random(1)


@pytest.mark.parametrize("length", [2_596, 20_000])
async def test_a_write_of_an_entity_with_a_long_name_is_delivered_once(place, length):
    """It is recorded with its version, and so are those behind it."""
    entity = CHANCE.randbytes(length // 2).hex()
    server = Server(**{entity: [Applied('"1"'), Applied('"2"')]})
    async with opened(place) as box:
        for _ in range(2):
            await box.put("note", entity, {})
        await box.put("note", "b", {})
        await deliver(box, server)

        assert await box.counts() == Counts(delivered=3)
    assert sorted(server.entities) == sorted([entity, entity, "b"])


async def test_a_name_that_is_too_long_to_be_remembered_is_told(postgres_server):
    """Whoever queues a write once, under a name that no index takes, learns why that is not possible."""
    async with opened(postgres_server.fresh()) as box:
        with pytest.raises(ConfigError, match="longer than PostgreSQL can store"):
            await box.enqueue(put("a", once=CHANCE.randbytes(10_000).hex()))
