"""Where a store's answers come from, and what it does when the source of truth fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from store_world import Note, eventually, quick_config, serving

from outlast.errors import CircuitOpenError, NetworkError, SchemaError, ServerError, ShuttingDownError
from outlast.lab.proxy import BlackHole, Healthy, Latency, Refuse, Status
from outlast.policies import Retry
from outlast.store import HttpBackend, StoreSource


async def test_answers_come_from_the_nearest_source(world):
    """A first read asks the backend, a second one memory, one after a restart the file; each says so."""
    async with world() as w:
        w.somebody_writes("a", "as at first")
        async with w.store() as store:
            first = await store.read("a")
            second = await store.read("a")
        async with w.store() as store:
            third = await store.read("a")

    assert (first.source, first.stale, first.why) == (StoreSource.BACKEND, False, "")
    assert (second.source, second.stale, second.why) == (StoreSource.MEMORY, False, "")
    assert (third.source, third.stale, third.why) == (StoreSource.DISK, False, "")
    assert first.value == second.value == third.value == Note("other-as at first", "as at first")
    assert 0 <= first.age <= second.age <= third.age < 5
    assert len(w.asked("GET")) == 1


async def test_absence_is_an_answer_too(world):
    """What the backend does not have is None, and that is remembered."""
    async with world() as w, w.store() as store:
        first, second = await store.read("none"), await store.read("none")

        assert (first.value, first.source) == (None, StoreSource.BACKEND)
        assert (second.value, second.source) == (None, StoreSource.MEMORY)
        assert await store.get("none") is None
        assert len(w.asked("GET")) == 1


async def test_a_number_names_the_same_entity_as_its_digits(world):
    """An entity saved under a whole number is read and deleted under it too."""
    async with world() as w, w.store(config=quick_config(deliver=False)) as store:
        await store.save(Note("w1", "mine", "7"))

        assert (await store.read(7)).source is StoreSource.PENDING
        await store.delete(7)
        assert (await store.read("7")).value is None


async def test_an_own_write_is_read_before_it_is_delivered(world):
    """A queued write is the answer, marked as pending, whatever the cache holds."""
    async with world() as w:
        w.somebody_writes("a", "old")
        async with w.store() as store:
            await store.read("a")
            w.proxy.set(Refuse())
            await store.save(Note("w1", "new", "a"))
            result = await store.read("a")

    assert result.value == Note("w1", "new", "a")
    assert (result.source, result.age, result.stale) == (StoreSource.PENDING, 0.0, False)
    assert "not delivered yet" in result.why


async def test_a_stale_value_stands_in_for_a_backend_that_refuses(world):
    """While the backend fails, what is stored is answered, with its age and the failure."""
    async with world() as w:
        w.somebody_writes("a", "kept")
        async with w.store(ttl=0.0) as store:
            await store.read("a")
            w.proxy.set(Refuse())
            await asyncio.sleep(0.1)
            result = await store.read("a")

    assert (result.value.text, result.source, result.stale) == ("kept", StoreSource.MEMORY, True)
    assert result.age >= 0.1
    assert result.why == "loading failed: NetworkError"


async def test_a_stale_value_stands_in_for_a_backend_that_is_slow(world):
    """A slow backend costs a reader the soft limit and no more; the late answer is kept for the next one."""
    async with world() as w:
        w.somebody_writes("a", "old")
        async with w.store(ttl=0.05, soft_timeout=0.1) as store:
            await store.read("a")
            w.somebody_writes("a", "new")
            w.proxy.set(Latency(0.5))
            await asyncio.sleep(0.1)
            result = await store.read("a")

            assert (result.value.text, result.stale) == ("old", True)
            assert "longer than 0.1 s" in result.why
            await eventually(lambda: _text(store, "new"))


async def _text(store, wanted):
    return (await store.read("a")).value.text == wanted


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Refuse(), NetworkError, id="refused"),
        pytest.param(Status(500), ServerError, id="errors"),
        pytest.param(BlackHole(), NetworkError, id="silence"),
    ],
)
async def test_a_first_touch_fails_with_the_real_error_in_time(world, fault, error):
    """What is stored nowhere cannot be answered: the reader gets the backend's own error within the limit."""
    async with world() as w, w.store(config=quick_config(retry=Retry(attempts=3)), load_timeout=1.5) as store:
        w.proxy.set(fault)
        with pytest.raises((error, TimeoutError)):
            await store.read("a")


async def test_a_first_touch_waits_out_a_short_outage(world):
    """By default a load is tried again inside its limit, so a short outage only costs time."""
    async with world() as w, w.store(config=quick_config(retry=None), load_timeout=5.0) as store:
        w.somebody_writes("a", "there")
        w.proxy.set(Refuse())
        reading = asyncio.create_task(store.read("a"))
        await asyncio.sleep(0.3)
        w.proxy.set(Healthy())

        assert (await reading).source is StoreSource.BACKEND


async def test_an_open_circuit_spares_the_backend(world):
    """Once the circuit is open, reads fail at once and ask nobody."""
    async with world() as w, w.store(config=quick_config()) as store:
        store._breaker.force_open()

        with pytest.raises(CircuitOpenError):
            await store.read("a")
        assert not w.asked()


async def test_what_the_backend_says_must_fit_the_model(world):
    """A garbage answer is an error with its path, and is not stored; with something stored it is only a failed load."""
    said = [b'{"write": "w", "text": "fine"}']

    async def note(request):
        return Response(said[0], headers={"etag": '"1"'}, media_type="application/json")

    async with world() as w, serving(Starlette(routes=[Route("/notes/{note}", note)])) as port:
        backend = HttpBackend(f"http://127.0.0.1:{port}", "notes")
        async with w.store(backend=backend, ttl=0.0) as store:
            await store.read("known")
            said[0] = b'{"write": "w", "text": 7}'
            stale = await store.read("known")
            with pytest.raises(SchemaError) as caught:
                await store.read("new")
            said[0] = b"<html>"
            with pytest.raises(SchemaError):
                await store.read("newer")
            said[0] = b'{"write": "w", "text": "at last"}'

            assert (stale.value.text, stale.stale, stale.why) == ("fine", True, "loading failed: SchemaError")
            assert caught.value.path == "$.text"
            assert (await store.read("new")).source is StoreSource.BACKEND
        await backend.aclose()


@dataclass(frozen=True)
class LaterNote:
    write: str
    stars: int = 0
    text: str | int = ""


@dataclass(frozen=True)
class StricterNote:
    write: str
    text: int


async def test_what_an_older_program_stored_counts_as_nothing(world):
    """A stored value that does not fit the model any more is loaded anew instead of failing each read."""
    async with world() as w:
        w.somebody_writes("a", "text")
        async with w.store() as store:
            await store.read("a")
        w.book.overwrite(_numbered("a"))
        async with w.store(model=StricterNote, key="write") as store:
            result = await store.read("a")

    assert (result.value, result.source) == (StricterNote("w", 7), StoreSource.BACKEND)


def _numbered(note):
    from outlast.lab._notes import Change

    return Change("PUT", note, "w", '{"write": "w", "text": 7}')


async def test_a_model_may_grow(world):
    """A stored value that fits the new model is answered from the file."""
    async with world() as w:
        w.somebody_writes("a", "text")
        async with w.store() as store:
            await store.read("a")
        async with w.store(model=LaterNote, key="write") as store:
            result = await store.read("a")

    assert (result.value, result.source) == (LaterNote("other-text", 0, "text"), StoreSource.DISK)


async def test_a_cancelled_read_leaves_nothing_behind(world):
    """A reader that goes away breaks neither the load nor the next reader."""
    async with world() as w, w.store() as store:
        w.somebody_writes("a", "there")
        w.proxy.set(Latency(0.3))
        reading = asyncio.create_task(store.read("a"))
        await eventually(lambda: w.asked("GET"))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        assert (await store.read("a")).value.text == "there"
        assert len(w.asked("GET")) == 1


async def test_a_store_is_used_inside_its_block(world):
    """Before and after the block nothing is read and nothing is queued."""
    async with world() as w:
        async with w.store() as store:
            pass

        for use in (store.get("a"), store.read("a"), store.save(Note("w", "t", "a")), store.delete("a")):
            with pytest.raises(ShuttingDownError, match="async with"):
                await use
