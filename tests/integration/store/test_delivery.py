"""How a store's writes reach the backend, alone or beside other stores, and what readers see meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from store_world import PATIENCE, Note, eventually, quick_breaker, quick_config

from outlast.events import DEFAULT_BUS, DeliveryStopped, EventBus
from outlast.lab.proxy import BlackHole, Healthy, Latency, Refuse, Status
from outlast.outbox import Op, OpState
from outlast.policies import CircuitState
from outlast.store import HttpBackend, StoreSource, _delivery
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


async def test_an_open_circuit_is_shared_by_reads_and_deliveries(world):
    """Failing reads stop the deliveries and failing deliveries the reads: a broken backend is asked now and then."""
    async with world() as w, w.store(config=quick_config(circuit_breaker=quick_breaker(0.5))) as store:
        w.proxy.set(Status(500))
        await asyncio.gather(*(store.read(f"r{number}") for number in range(5)), return_exceptions=True)
        assert store._breaker.state is CircuitState.OPEN
        before = len(w.asked())
        for number in range(20):
            await store.save(Note(f"w{number}", "mine", f"a{number}"))
        await asyncio.gather(*(store.read(f"s{number}") for number in range(20)), return_exceptions=True)
        at_once = len(w.asked()) - before
        await asyncio.sleep(1.2)
        later = len(w.asked()) - before
        w.proxy.set(Healthy())
        await store.delivered(PATIENCE)

        assert at_once <= 1
        assert later <= 4
        assert store._breaker.state is CircuitState.CLOSED
        assert {len(w.effects(f"a{number}")) for number in range(20)} == {1}


async def test_failing_deliveries_open_the_circuit_for_reads(world):
    """Readers of what is stored nowhere are refused at once while deliveries have found the backend dead."""
    async with world() as w, w.store(config=quick_config(circuit_breaker=quick_breaker(30))) as store:
        w.proxy.set(Status(500))
        for number in range(6):
            await store.save(Note(f"w{number}", "mine", f"a{number}"))
        await eventually(lambda: store._breaker.state is CircuitState.OPEN)
        before = len(w.asked("GET"))
        with pytest.raises(Exception, match="open"):
            await store.read("x")

        assert len(w.asked("GET")) == before
        assert store.trouble.startswith("500")


async def test_a_successful_read_closes_the_circuit_for_deliveries(world):
    """Writes that wait go as soon as anybody finds the backend well again."""
    async with world() as w, w.store(config=quick_config(circuit_breaker=quick_breaker(0.3))) as store:
        w.proxy.set(Status(500))
        await asyncio.gather(*(store.read(f"r{number}") for number in range(5)), return_exceptions=True)
        w.proxy.set(Healthy())
        await asyncio.sleep(0.35)
        await store.read("r0")
        assert store._breaker.state is CircuitState.CLOSED
        status = await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)

        assert status.state is OpState.DELIVERED


async def test_a_write_that_waits_is_the_first_to_find_out(world):
    """When the open time is over, a crowd of readers leaves the first question to the write that waits."""
    async with world() as w, w.store(config=quick_config(circuit_breaker=quick_breaker(0.5), retry=None)) as store:
        w.proxy.set(Status(500))
        await asyncio.gather(*(store.read(f"r{number}") for number in range(5)), return_exceptions=True)
        before = len(w.asked())
        over = asyncio.Event()

        async def read_on(reader):
            while not over.is_set():
                await asyncio.gather(store.read(f"x{reader}"), return_exceptions=True)
                await asyncio.sleep(0.01)

        readers = [asyncio.create_task(read_on(number)) for number in range(10)]
        await store.save(Note("w1", "mine", "a"))
        await eventually(lambda: len(w.asked()) > before)
        first = w.asked()[before]
        w.proxy.set(Healthy())
        over.set()
        await asyncio.gather(*readers)

        assert first.method == "PUT"


async def test_one_delivers_and_the_other_sees_its_own_writes_all_the_time(world):
    """Of two stores on one outbox one delivers both's writes; each reads its own before, while and after."""
    async with (
        world() as w,
        w.outbox() as one_box,
        w.outbox() as other_box,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        w.store(outbox=one_box, cache=one_cache) as one,
        w.store(outbox=other_box, cache=other_cache) as other,
    ):
        w.somebody_writes("a", "old")
        await other.read("a")
        await eventually(lambda: "another process" in other.trouble)
        await other.save(Note("w1", "mine", "a"))
        seen = []
        async with asyncio.timeout(PATIENCE):
            while not w.effects("a")[1:] or len(other._pending):
                seen.append((await other.get("a")).text)
                await asyncio.sleep(0)
        seen.append((await other.get("a")).text)

        assert set(seen) == {"mine"}
        assert (one.trouble, len(w.asked("PUT"))) == ("", 1)
        assert (await one.get("a")).text == "mine"


async def test_two_kinds_share_an_outbox_and_each_sees_its_own_writes(world):
    """A store whose writes another store's runner delivers reads them all the time."""
    async with (
        world() as w,
        w.outbox() as outbox,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        contextlib.aclosing(HttpBackend(w.url, "other")) as others,
        w.store(outbox=outbox, cache=other_cache, backend=others),
        w.store(outbox=outbox, cache=one_cache) as one,
    ):
        w.somebody_writes("a", "old")
        await one.read("a")
        await one.save(Note("w1", "mine", "a"))
        seen = []
        async with asyncio.timeout(PATIENCE):
            while len(one._pending):
                seen.append((await one.get("a")).text)
                await asyncio.sleep(0)
        seen.append((await one.get("a")).text)

        assert set(seen) == {"mine"}
        assert w.effects("a") == ["other-old", "w1"]


async def test_another_stores_writes_are_seen_whatever_came_later(world):
    """A write queued elsewhere is seen here, also when this store has queued a later one meanwhile."""
    quiet = quick_config(deliver=False)
    async with (
        world() as w,
        w.outbox() as one_box,
        w.outbox() as other_box,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        w.store(outbox=one_box, cache=one_cache, config=quiet) as one,
        w.store(outbox=other_box, cache=other_cache, config=quick_config(deliver=False)) as other,
    ):
        await one.save(Note("w1", "first", "a"))
        await other.save(Note("w2", "second", "b"))

        async def reads(store, key):
            return (await store.read(key)).source is StoreSource.PENDING

        assert await eventually(lambda: reads(other, "a"), within=50)
        assert await eventually(lambda: reads(one, "b"), within=50)
        assert not w.asked("PUT")


async def test_a_conflict_that_another_process_found_shows_the_servers_value(world):
    """A store that only watches sees the server's value after its write lost a race."""
    async with world() as w, w.outbox() as outbox, w.cache() as cache:
        w.somebody_writes("a", "old")
        async with w.store(outbox=outbox, cache=cache, config=quick_config(deliver=False)) as watching:
            await watching.read("a")
            w.somebody_writes("a", "theirs")
            ticket = await watching.save(Note("w1", "mine", "a"))
            async with w.cache("other.db") as other_cache, w.store(cache=other_cache):
                assert (await ticket.settled(PATIENCE)).state is OpState.CONFLICT
                await watching.delivered(PATIENCE)

            assert (await watching.get("a")).text == "theirs"
            assert w.effects("a") == ["other-old", "other-theirs"]


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


async def test_a_store_that_does_not_deliver_leaves_that_to_others(world):
    """With deliver=False nothing is sent and no lease is taken; what others deliver is seen."""
    async with world() as w, w.store(config=quick_config(deliver=False)) as store:
        await store.save(Note("w1", "mine", "a"))
        await asyncio.sleep(0.4)
        assert not w.asked("PUT")
        async with w.cache("other.db") as cache, w.store(cache=cache) as other:
            await other.delivered(PATIENCE)
        await store.delivered(PATIENCE)

        assert (await store.read("a")).source is StoreSource.MEMORY
        assert (await store.get("a")).text == "mine"


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
