"""What a store sends, and on which condition, so that nothing is lost, doubled or overwritten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import apsw
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from store_world import PATIENCE, Note, eventually, quick_config, serving

from outlast.errors import ConfigError, SchemaError, StorageFullError
from outlast.lab.proxy import Healthy, Latency, Refuse
from outlast.outbox import OpState, Verb
from outlast.store import HttpBackend, StoreSource


async def test_what_was_never_seen_is_created_and_overwrites_nothing(world):
    """A save of an unknown entity goes as a PUT that only succeeds where nothing is."""
    async with world() as w, w.store() as store:
        ticket = await store.save(Note("w1", "mine", "a"))
        status = await ticket.settled(PATIENCE)

        (put,) = w.asked("PUT")
        assert status.state is OpState.DELIVERED
        assert (put.if_none_match, put.if_match) == ("*", None)
        assert put.idempotency_key == ticket.key
        assert w.effects("a") == ["w1"]


async def test_what_was_seen_is_replaced_in_the_version_that_was_seen(world):
    """A save of an entity that was read carries that version."""
    async with world() as w, w.store() as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        await (await store.save(Note("w1", "new", "a"))).settled(PATIENCE)

        (put,) = w.asked("PUT")
        assert (put.if_match, put.if_none_match) == ('"1"', None)
        assert w.effects("a") == ["other-old", "w1"]


async def test_saves_in_a_row_build_on_each_other(world):
    """A save behind unconfirmed ones waits for them and carries the version that they made."""
    async with world() as w, w.store() as store:
        w.proxy.set(Refuse())
        tickets = [await store.save(Note(f"w{number}", "mine", "a")) for number in range(3)]
        w.proxy.set(Healthy())
        for ticket in tickets:
            assert (await ticket.settled(PATIENCE)).state is OpState.DELIVERED

        assert w.effects("a") == ["w0", "w1", "w2"]
        assert [put.if_match for put in w.asked("PUT")] == [None, '"1"', '"2"']


async def test_saves_at_once_build_on_each_other(world):
    """Two saves of one new entity that run at the same time are a creation and a change, not two creations."""
    async with world() as w, w.store() as store:
        tickets = await asyncio.gather(*(store.save(Note(f"w{number}", "mine", "a")) for number in range(3)))
        states = [(await ticket.settled(PATIENCE)).state for ticket in tickets]

        assert states == [OpState.DELIVERED] * 3
        assert w.effects("a") == ["w0", "w1", "w2"]


async def test_a_save_behind_one_that_was_cancelled_builds_on_it(world):
    """A save whose caller went away is queued whole, is seen, and the next one goes behind it."""
    async with world() as w, w.store() as store:
        saving = asyncio.create_task(store.save(Note("w1", "first", "a")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        saving.cancel()
        ticket = await store.save(Note("w2", "second", "a"))
        with pytest.raises(asyncio.CancelledError):
            await saving

        assert (await store.read("a")).value.text == "second"
        assert (await ticket.settled(PATIENCE)).state is OpState.DELIVERED
        assert w.effects("a") in (["w1", "w2"], ["w2"])


async def test_a_cancelled_save_is_seen_by_readers(world):
    """What was queued although its caller went away is read as any other own write."""
    async with world() as w, w.store(config=quick_config(deliver=False)) as store:
        saving = asyncio.create_task(store.save(Note("w1", "first", "a")))
        await eventually(lambda: _queued(store))
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await store.save(Note("w2", "other", "b"))

        await eventually(lambda: _source(store, "a", StoreSource.PENDING))
        assert (await store.get("a")).text == "first"


async def _queued(store):
    return (await store._outbox.counts()).total


async def _source(store, key, wanted):
    return (await store.read(key)).source is wanted


async def test_delete_is_seen_at_once_and_stays(world):
    """A deleted entity is gone before the delivery, after it, after a restart and offline."""
    async with world() as w:
        w.somebody_writes("a", "there")
        async with w.store(negative_ttl=0.05) as store:
            await store.read("a")
            w.proxy.set(Latency(0.2))
            ticket = await store.delete("a")
            pending = await store.read("a")
            await ticket.settled(PATIENCE)
            await store.delivered(PATIENCE)
            w.proxy.set(Refuse())
            await asyncio.sleep(0.1)
            offline = await store.read("a")
        async with w.store() as store:
            restarted = await store.read("a")

        (delete,) = w.asked("DELETE")
        assert (delete.if_match, w.book.read("a")) == ('"1"', None)
    assert (pending.value, pending.source) == (None, StoreSource.PENDING)
    assert (offline.value, offline.source) == (None, StoreSource.MEMORY)
    assert (restarted.value, restarted.source) == (None, StoreSource.DISK)


async def test_delete_of_what_is_not_there_is_delivered(world):
    """A delete that finds nothing has done its work."""
    async with world() as w, w.store() as store:
        status = await (await store.delete("a")).settled(PATIENCE)

        assert status.state is OpState.DELIVERED
        assert await store.get("a") is None


async def test_save_behind_delete_makes_the_entity_anew(world):
    """A save after a delete is a creation that waits for the delete."""
    async with world() as w, w.store() as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.proxy.set(Refuse())
        await store.delete("a")
        ticket = await store.save(Note("w2", "anew", "a"))
        queued = await store._outbox.pending("notes")
        w.proxy.set(Healthy())
        await ticket.settled(PATIENCE)
        await store.delivered(PATIENCE)

        assert [op.verb for op in queued] == [Verb.DELETE, Verb.CREATE]
        assert [exchange.method for exchange in w.asked() if exchange.method != "GET"] == ["DELETE", "PUT"]
        assert (await store.get("a")).text == "anew"


async def test_delete_behind_save_removes_what_the_save_made(world):
    """A delete behind an unconfirmed creation carries the version that the creation made."""
    async with world() as w, w.store() as store:
        w.proxy.set(Refuse())
        await store.save(Note("w1", "short-lived", "a"))
        ticket = await store.delete("a")
        w.proxy.set(Healthy())
        await ticket.settled(PATIENCE)

        (delete,) = w.asked("DELETE")
        assert (delete.if_match, w.book.read("a")) == ('"1"', None)


async def test_what_does_not_fit_the_model_is_refused_before_it_is_queued(world):
    """A wrong field is an error with its path; nothing is queued and nothing is read."""
    async with world() as w, w.store() as store:
        with pytest.raises(SchemaError) as wrong_type:
            await store.save(Note("w1", 7, "a"))
        with pytest.raises(SchemaError, match="cannot be written as JSON"):
            await store.save(Note("w1", object(), "a"))
        with pytest.raises(SchemaError, match=r"id must be"):
            await store.save(Note("w1", "text", ""))

        assert wrong_type.value.path == "$.text"
        assert (await store._outbox.counts()).total == 0
        assert await store.get("a") is None


async def test_a_full_disk_is_told_and_nothing_is_pretended(world):
    """A save that could not be made durable raises, and is read by nobody."""
    async with world() as w, w.outbox() as outbox, w.store(outbox=outbox, config=quick_config(deliver=False)) as store:
        database = outbox.core.database
        real = database.write_items

        def full(db, items):
            raise apsw.FullError("database or disk is full")

        database.write_items = lambda job, items, then: real(full, items, then)
        with pytest.raises(StorageFullError):
            await store.save(Note("w1", "mine", "a"))
        with pytest.raises(StorageFullError):
            await store.delete("b")
        database.write_items = real

        assert store.snapshot()["pending"] == 0
        assert await store.get("a") is None
        assert (await (await store.save(Note("w2", "later", "a"))).status()).state is OpState.READY


class Numbered(msgspec.Struct):
    number: int
    write: str
    text: str


@dataclass(frozen=True)
class Child(Note):
    extra: str = ""


@pytest.mark.parametrize(
    ("model", "key", "entity", "expected"),
    [
        pytest.param(Numbered, "number", Numbered(7, "w", "t"), "7", id="number"),
        pytest.param(Note, lambda note: f"{note.id}-x", Note("w", "t", "a"), "a-x", id="function"),
        pytest.param(Child, "id", Child("w", "t", "a"), "a", id="inherited"),
        pytest.param(dict[str, str], lambda note: note["id"], {"write": "w", "text": "t", "id": "a"}, "a", id="dict"),
    ],
)
async def test_the_id_is_a_field_or_a_function(world, model, key, entity, expected):
    """The id is taken from the named field, an inherited one too, or from whatever a function returns."""
    async with world() as w, w.store(model=model, key=key, config=quick_config(deliver=False)) as store:
        await store.save(entity)
        (op,) = await store._outbox.pending("notes")

        assert op.entity == expected
        assert (await store.read(expected)).value == entity


@pytest.mark.parametrize("bad", ["", None, 1.5, True])
async def test_an_id_is_a_text_or_a_whole_number(world, bad):
    """Whatever else a function returns as the id is refused before anything is queued."""
    async with world() as w, w.store(key=lambda note: bad, config=quick_config(deliver=False)) as store:
        with pytest.raises(SchemaError, match="id must be"):
            await store.save(Note("w", "t", "a"))

        assert (await store._outbox.counts()).total == 0


async def test_a_field_that_the_model_lacks_is_refused(world):
    """A wrong name of the id's field shows when the store is made."""
    async with world() as w:
        with pytest.raises(ConfigError, match="no field 'uid'"):
            async with w.store(key="uid"):
                pass


async def test_a_weak_version_is_not_used_as_a_condition(world):
    """A server that names only weak versions would refuse every condition on one, so none is made."""
    seen = []

    async def note(request):
        if request.method == "PUT":
            seen.append((request.headers.get("if-match"), request.headers.get("if-none-match")))
        return Response(b'{"write": "w", "text": "t"}', headers={"etag": 'W/"1"'})

    async with world() as w, serving(Starlette(routes=[Route("/notes/{note}", note, methods=["GET", "PUT"])])) as port:
        backend = HttpBackend(f"http://127.0.0.1:{port}", "notes")
        async with w.store(backend=backend) as store:
            await store.read("a")
            await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)
            await store.delivered(PATIENCE)
            await (await store.save(Note("w2", "mine", "a"))).settled(PATIENCE)
        await backend.aclose()

    assert seen == [(None, None), (None, None)]


async def test_a_patch_of_somebody_else_is_not_taken_for_the_entity(world):
    """A merge patch queued beside the store holds only some fields; it is neither read nor kept as the entity."""
    bodies = {"text": "old"}

    async def note(request):
        if request.method == "PATCH":
            bodies.update(msgspec.json.decode(await request.body()))
        return Response(msgspec.json.encode({"write": "w", **bodies}), headers={"etag": f'"{bodies["text"]}"'})

    async with (
        world() as w,
        serving(Starlette(routes=[Route("/notes/{note}", note, methods=["GET", "PATCH"])])) as port,
    ):
        backend = HttpBackend(f"http://127.0.0.1:{port}", "notes")
        async with w.outbox() as outbox, w.store(backend=backend, outbox=outbox) as store:
            await store.read("a")
            ticket = await outbox.patch("notes", "a", {"text": "new"})
            await ticket.settled(PATIENCE)
            await store.delivered(PATIENCE)

            assert (await store.get("a")).text == "new"
        await backend.aclose()


async def test_delivered_gives_up_in_time(world):
    """Waiting for the deliveries ends after the given time; nothing is lost by it."""
    async with world() as w, w.store() as store:
        w.proxy.set(Refuse())
        await store.save(Note("w1", "mine", "a"))
        with pytest.raises(TimeoutError):
            await store.delivered(0.1)

        assert store.snapshot()["pending"] == 1


async def test_delivered_does_not_wait_for_a_decision(world):
    """What lost a race holds back the later writes of its entity until somebody decides; nobody waits for that."""
    async with world() as w, w.store() as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.somebody_writes("a", "theirs")
        w.proxy.set(Refuse())
        await store.save(Note("w1", "mine", "a"))
        await store.save(Note("w2", "mine too", "a"))
        await store.save(Note("w3", "mine", "b"))
        w.proxy.set(Healthy())
        await store.delivered(PATIENCE)

        assert (w.effects("a"), w.effects("b")) == (["other-old", "other-theirs"], ["w3"])
        assert (await store.read("a")).value.text == "mine too"
        assert (await store.read("a")).source is StoreSource.PENDING
