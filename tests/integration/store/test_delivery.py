"""How a store's writes reach the backend, what stops them, and what readers see meanwhile."""

from __future__ import annotations

import asyncio
import threading

import pytest
from store_world import PATIENCE, Note, eventually

from outlast.events import DEFAULT_BUS, DeliveryStopped, EventBus
from outlast.lab.proxy import BlackHole, Healthy, Latency, Refuse, Status
from outlast.outbox import Op, OpState
from outlast.store import StoreSource, _delivery
from outlast.testing import Recorder


async def test_what_is_queued_is_seen_after_a_restart(world):
    """A new store over the same files reads what the last one could not deliver, and delivers it."""
    async with world() as w:
        w.somebody_writes("changed", "old")
        w.somebody_writes("gone", "old")
        async with w.store() as store:
            await store.read("changed"), await store.read("gone")
            w.proxy.set(Refuse())
            await store.save(Note("w1", "new", "made"))
            await store.save(Note("w2", "new", "changed"))
            await store.delete("gone")
        async with w.store() as store:
            seen = {key: await store.read(key) for key in ("made", "changed", "gone")}
            w.proxy.set(Healthy())
            await store.delivered(PATIENCE)
            after = {key: await store.get(key) for key in seen}

        assert {key: result.source for key, result in seen.items()} == dict.fromkeys(seen, StoreSource.PENDING)
        assert {key: result.value and result.value.text for key, result in seen.items()} == {
            "made": "new", "changed": "new", "gone": None,
        }  # fmt: skip
        assert after == {key: result.value for key, result in seen.items()}
        assert (w.effects("made"), w.effects("changed")) == (["w1"], ["other-old", "w2"])


@pytest.mark.parametrize("ttl", [0.0, 60.0], ids=["always-loading", "cached"])
async def test_a_writer_reads_its_own_writes_at_every_moment(world, ttl):
    """While one write after the other is delivered, a reader in a tight loop never sees an older one."""
    async with world() as w, w.store(ttl=ttl, soft_timeout=None) as store:
        w.proxy.set(Latency(0.01))
        acknowledged, seen, over = 0, [], asyncio.Event()
        await store.save(Note("0", "mine", "a"))

        async def read_on():
            while not over.is_set():
                least = acknowledged
                value = await store.get("a")
                seen.append((least, int(value.write)))
                await asyncio.sleep(0)

        readers = [asyncio.create_task(read_on()) for _ in range(3)]
        for number in range(1, 15):
            await store.save(Note(str(number), "mine", "a"))
            acknowledged = number
            await asyncio.sleep(0.02 * (number % 3))
            if number % 5 == 0:
                await store.delivered(PATIENCE)
                await asyncio.sleep(0.03)
        await store.delivered(PATIENCE)
        over.set()
        await asyncio.gather(*readers)

        assert [(least, shown) for least, shown in seen if shown < least] == []
        assert len(seen) > 100
        assert w.effects("a") == [str(number) for number in range(15)]


async def test_a_slow_load_from_before_a_write_is_not_shown_after_it(world):
    """A load that began before a write was made and ends after its delivery is not given to those who ask later."""
    async with world(on_answer=_hold_first_get()) as w, w.store(ttl=60, load_timeout=5.0) as store:
        w.somebody_writes("a", "old")
        slow = asyncio.create_task(store.read("a"))
        await eventually(lambda: w.asked("GET"))
        deletion = await store.delete("a")
        await deletion.settled(PATIENCE)
        await (await store.save(Note("w1", "new", "a"))).settled(PATIENCE)
        await store.delivered(PATIENCE)
        before = await store.read("a")
        await slow
        after = await store.read("a")

    assert (before.value.text, after.value.text) == ("new", "new")
    assert (await slow).value.text == "old"


def _hold_first_get():
    held = []

    async def hold(exchange):
        if exchange.method == "GET" and not held:
            held.append(exchange)
            await asyncio.sleep(0.7)

    return hold


async def test_a_discarded_write_is_no_longer_read(world):
    """What somebody has taken out of the conflicts is forgotten, and a replayed write is pending again."""
    async with world() as w, w.outbox() as outbox, w.store(outbox=outbox) as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.somebody_writes("a", "theirs")
        ticket = await store.save(Note("w1", "mine", "a"))
        await ticket.settled(PATIENCE)
        await store.delivered(PATIENCE)
        w.proxy.set(Refuse())
        await outbox.replay(ticket.seq)

        async def pending():
            return (await store.read("a")).source is StoreSource.PENDING

        assert await eventually(pending)
        w.proxy.set(Healthy())
        await store.delivered(PATIENCE)
        await outbox.discard(ticket.seq)
        assert (await store.get("a")).text == "theirs"


async def test_refused_credentials_are_told_and_new_ones_used(world, monkeypatch):
    """A wrong token stops the deliveries and says so until the header function gives one that is accepted."""
    monkeypatch.setattr(_delivery, "_TRY_AGAIN", 0.2)
    tokens = ["wrong"]
    async with world() as w:
        real = w.proxy._meet

        async def meet(fault, client, request, exchange):
            right = request.header(b"authorization") == "Bearer right"
            return await real(fault if right else Status(401), client, request, exchange)

        w.proxy._meet = meet
        backend = w.backend(headers=lambda: {"Authorization": f"Bearer {tokens[-1]}"})
        with Recorder(DEFAULT_BUS) as events:
            async with w.store(backend=backend) as store:
                await store.save(Note("w1", "mine", "a"))
                await eventually(lambda: store.trouble)
                said = set()
                for _ in range(60):
                    said.add(store.trouble)
                    await asyncio.sleep(0.01)
                tokens.append("right")
                await store.delivered(PATIENCE)

                assert len(said) == 1
                assert "refuses the credentials" in said.pop()
                assert store.trouble == ""
                assert w.effects("a") == ["w1"]
        await backend.aclose()

    assert events.of(DeliveryStopped)
    assert "AuthenticationError" in events.last(DeliveryStopped).reason


async def test_a_bug_in_a_transport_stops_nothing_for_good(world, monkeypatch):
    """Whatever a delivery trips over is told, and tried again; the writes wait."""
    monkeypatch.setattr(_delivery, "_TRY_AGAIN", 0.1)
    async with world() as w:
        broken = [True]

        async def trip(key, body, etag):
            if broken[0]:
                raise RuntimeError("a bug")
            await put(key, body, etag)

        with Recorder(DEFAULT_BUS) as events:
            async with w.cache() as cache, w.store(cache=cache) as store:
                put, store._delivery._show = cache.put, trip
                await store.save(Note("w1", "mine", "a"))
                stopped = await eventually(lambda: events.of(DeliveryStopped))
                assert store.trouble == "RuntimeError: a bug"
                broken[0] = False
                await store.delivered(PATIENCE)

                assert (await store.get("a")).text == "mine"
                assert store.trouble == ""

    assert (stopped[0].reason, stopped[0].wait) == ("RuntimeError: a bug", 0.1)
    assert w.asked("PUT")[0].idempotency_key == w.asked("PUT")[-1].idempotency_key


async def test_a_write_that_cannot_be_made_a_request_dies_alone(world):
    """A transport that cannot seal one write buries that one, with the reason; the others are delivered."""
    async with world() as w, w.outbox() as outbox:
        backend = w.backend()
        real = backend.transport.seal

        def seal(op: Op):
            if op.entity == "bad":
                raise RuntimeError("cannot be sealed")
            return real(op)

        backend.transport.seal = seal
        async with w.store(outbox=outbox, backend=backend) as store:
            bad, good = await store.save(Note("w1", "mine", "bad")), await store.save(Note("w2", "mine", "good"))
            died = await bad.settled(PATIENCE)
            await good.settled(PATIENCE)
            await store.delivered(PATIENCE)

            assert (died.state, "cannot be sealed" in died.reason) == (OpState.DEAD, True)
            assert await store.get("bad") is None
        await backend.aclose()


async def test_nothing_is_left_behind(world):
    """After the block no task runs, nobody listens and no thread is left but those of the files still open."""
    bus = EventBus()
    async with world() as w:
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        async with w.outbox(bus=bus) as outbox, w.store(outbox=outbox) as store:
            await store.save(Note("w1", "mine", "a"))
            w.proxy.set(BlackHole())
            await store.save(Note("w2", "mine", "b"))
            await eventually(lambda: len(w.asked("PUT")) == 2)
            w.proxy.set(Refuse())
        w.proxy.set(Healthy())

        left = {task for task in asyncio.all_tasks() - tasks if "outlast" in task.get_name()}
        assert left == set()
        assert not bus.active
        assert {t for t in threading.enumerate() if t not in threads and t.name.startswith("outlast")} == set()


async def test_a_block_may_be_entered_again(world):
    """A store that was closed can be opened again and goes on with what waits."""
    async with world() as w:
        async with w.store() as store:
            w.proxy.set(Refuse())
            await store.save(Note("w1", "mine", "a"))
            await store.__aexit__(None, None, None)
            w.proxy.set(Healthy())
            async with store:
                await store.delivered(PATIENCE)
                assert (await store.get("a")).text == "mine"

        assert w.effects("a") == ["w1"]
