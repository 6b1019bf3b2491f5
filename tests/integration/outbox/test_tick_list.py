"""What the tasks of a loop ask for in one turn travels to the writer as one list, and yet each has its own answer."""

import asyncio
import threading

import pytest

from outlast.errors import ConfigError, ShuttingDownError
from outlast.outbox import Outbox, Verb, Write


def put(number, **options):
    """Be a write of an entity."""
    return Write(verb=Verb.PUT, kind="note", entity=str(number), body=b"x", **options)


def hold(box):
    """Keep the writer busy until the returned event is set."""
    begun, go = threading.Event(), threading.Event()
    box.core.database.write(lambda db: begun.set() or go.wait(30))
    assert begun.wait(30)
    return go


async def test_one_turn_is_one_list(place):
    """However many tasks ask in one turn, the writer gets one list, in the order in which they asked."""
    async with await Outbox.open(place) as box:
        lists, plain = [], box.core.database.write_items
        box.core.database.write_items = lambda job, items, then: (lists.append(len(items)), plain(job, items, then))[1]

        tickets = await asyncio.gather(*(box.put("note", str(n), {}) for n in range(300)))

    assert lists == [300]
    assert [ticket.seq for ticket in tickets] == list(range(1, 301))


async def test_what_is_said_of_some_changes_nothing_for_the_others(place):
    """A list of writes, some with options and most without, is stored in its order, and each as it was asked for."""
    said = {"if_match": '"1"', "target": "/n", "schema": 3, "order": "mutex", "base": b"old", "expires": 60.0}
    async with await Outbox.open(place) as box:
        await asyncio.gather(*(box.enqueue(put(n, **(said if n == 7 else {}))) for n in range(20)))
        await asyncio.gather(*(box.enqueue(put(n)) for n in range(20, 30)))

        ops = await box.pending("note")
    assert [op.entity for op in ops] == [str(n) for n in range(30)]
    shown = {(op.if_match, op.target, op.schema, op.base, op.content_type): op.entity for op in ops}
    assert list(shown) == [(None, None, 0, None, "application/json"), ('"1"', "/n", 3, b"old", "application/json")]
    assert shown['"1"', "/n", 3, b"old", "application/json"] == "7"
    assert [op.expires_at is not None for op in ops].index(True) == 7


async def test_the_mistake_of_one_costs_the_others_nothing(place):
    """Of a list with writes that cannot be queued all others are, in their order, and each caller hears of its own."""
    bad = {7, 50, 51}
    async with await Outbox.open(place) as box:
        calls = [box.enqueue(put(n, after=9_999 if n in bad else None)) for n in range(64)]

        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        failed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, ConfigError)]
        stored = [op.entity for op in await box.pending("note")]
    assert failed == sorted(bad)
    assert stored == [str(n) for n in range(64) if n not in bad]
    assert [ticket[0].seq for n, ticket in enumerate(outcomes) if n not in bad] == sorted(
        ticket[0].seq for n, ticket in enumerate(outcomes) if n not in bad
    )


async def test_what_nobody_waits_for_any_longer_is_not_begun(place):
    """A task that goes away while the writer is busy with others takes back its own write, and only that."""
    async with await Outbox.open(place) as box:
        go = hold(box)
        tasks = [asyncio.create_task(box.enqueue(put(n))) for n in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)  # they ask, and the list is handed over
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        go.set()
        kept = [(await tasks[n])[0].seq for n in (0, 2)]

        stored = [op.entity for op in await box.pending("note")]
    assert (stored, kept) == (["0", "2"], [1, 2])


async def test_closing_finishes_what_was_asked_for_in_the_same_turn(place):
    """A write whose list was not handed over yet is queued all the same; one that is asked for later is refused."""
    box = await Outbox.open(place)
    task = asyncio.create_task(box.enqueue(put(1)))
    await asyncio.sleep(0)
    await box.aclose()

    assert (await task)[0].seq == 1
    with pytest.raises(ShuttingDownError, match="is closed"):
        await box.enqueue(put(2))


async def test_a_list_that_nobody_is_left_to_hear_of_harms_nobody(place):
    """A loop that is closed while its writes are committed leaves them queued and the writer well."""
    box = await Outbox.open(place)
    go = hold(box)

    async def go_away():
        box.core.aenqueue([put(1)])
        await asyncio.sleep(0)

    await asyncio.to_thread(lambda: asyncio.run(go_away()))
    go.set()

    assert (await box.enqueue(put(2)))[0].seq == 2
    assert [op.entity for op in await box.pending("note")] == ["1", "2"]
    await box.aclose()
