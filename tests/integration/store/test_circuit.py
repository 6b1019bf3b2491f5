"""Reads and deliveries of a store share one circuit: what either finds out serves both."""

from __future__ import annotations

import asyncio

import pytest
from store_world import PATIENCE, Note, eventually, quick_breaker, quick_config

from outlast.lab.proxy import Healthy, Status
from outlast.outbox import OpState
from outlast.policies import CircuitState
from outlast.store import _delivery


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


async def test_a_write_that_waits_is_the_first_to_find_out(world, monkeypatch):
    """When the open time is over, a crowd of readers leaves the first question to the write that waits."""
    monkeypatch.setattr(_delivery, "_HEAD_START", 5.0)  # a busy machine may need long
    async with world() as w, w.store(config=quick_config(circuit_breaker=quick_breaker(0.5), retry=None)) as store:
        w.proxy.set(Status(500))
        await asyncio.gather(*(store.read(f"r{number}") for number in range(5)), return_exceptions=True)
        before = len(w.asked())

        async def read_on(reader):
            while True:
                await asyncio.gather(store.read(f"x{reader}"), return_exceptions=True)
                await asyncio.sleep(0.01)

        readers = [asyncio.create_task(read_on(number)) for number in range(10)]
        await store.save(Note("w1", "mine", "a"))
        await eventually(lambda: len(w.asked()) > before)
        first = w.asked()[before]
        w.proxy.set(Healthy())
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

        assert first.method == "PUT"
