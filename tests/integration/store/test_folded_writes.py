"""A store over an outbox that folds: what is read is what was written last."""

from __future__ import annotations

from store_world import PATIENCE, Note, eventually, quick_config

from outlast.outbox import Coalescing, OpState, Outbox
from outlast.store import StoreSource


def outbox(world, **options):
    """Open an outbox that folds what waits."""
    return world.outbox(coalescing=Coalescing(), **options)


async def test_a_save_that_is_folded_into_one_that_waits_is_what_is_read(world, place):
    """The body of the op that took it up is what a reader sees, and what the server gets."""
    async with world() as w, outbox(w) as box:
        async with w.store(outbox=box, config=quick_config(deliver=False)) as store:
            await store.save(Note("w1", "first", "a"))
            await store.save(Note("w2", "second", "a"))
            seen = await store.read("a")
            assert (seen.value.text, seen.source) == ("second", StoreSource.PENDING)
            assert (await box.counts()).total == 1
        async with w.store(outbox=box) as store:
            assert (await store.read("a")).value.text == "second"
            await eventually(lambda: w.effects("a") == ["w2"])


async def test_a_delete_that_is_folded_into_a_save_that_waits_is_what_is_read(world):
    """A change and a delete behind it are one delete, and the entity is gone for readers at once."""
    async with world() as w, outbox(w) as box:
        w.somebody_writes("a", "old")
        async with w.store(outbox=box, config=quick_config(deliver=False)) as store:
            await store.read("a")
            await store.save(Note("w1", "new", "a"))
            await store.delete("a")
            assert await store.get("a") is None


async def test_a_create_and_a_delete_that_annihilate_each_other_leave_nothing_to_see(world):
    """Neither is sent, nobody sees the entity, and a creation behind them is one."""
    async with world() as w, outbox(w) as box, w.store(outbox=box, config=quick_config(deliver=False)) as store:
        await store.save(Note("w1", "new", "a"))
        ticket = await store.delete("a")
        assert await store.get("a") is None
        assert (await ticket.status()).state is OpState.ANNIHILATED
        await store.save(Note("w2", "again", "a"))
        assert (await store.get("a")).text == "again"


async def test_what_another_process_folds_is_what_is_read(world, place):
    """The watch of the file sees that an op that it knows says something else now."""
    async with world() as w, outbox(w) as box, w.store(outbox=box, config=quick_config(deliver=False)) as store:
        await store.save(Note("w1", "first", "a"))
        async with await Outbox.open(place, coalescing=Coalescing()) as other:
            await other.put("notes", "a", {"write": "w2", "text": "second"})

        async def shown():
            return (await store.get("a")).text == "second"

        await eventually(shown)


async def test_a_save_behind_folded_ones_is_delivered_in_the_version_that_was_seen(world):
    """Folding loses nothing: the server ends with what was written last, after one request."""
    async with world() as w, outbox(w) as box:
        w.somebody_writes("a", "old")
        async with w.store(outbox=box, config=quick_config(deliver=False)) as store:
            await store.read("a")
            for number in range(3):
                await store.save(Note(f"w{number}", f"text {number}", "a"))
        async with w.store(outbox=box) as store:
            assert (await store.get("a")).text == "text 2"
            await eventually(lambda: w.effects("a") == ["other-old", "w2"], within=PATIENCE)
            (put,) = w.asked("PUT")
            assert put.if_match == '"1"'
