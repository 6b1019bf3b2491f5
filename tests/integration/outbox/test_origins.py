"""Many origins in one outbox: each has its transport, its circuit and its pauses."""

import asyncio

import pytest

from delivering import Server, deliver, opened, put, runner, until
from outlast.errors import ConfigError
from outlast.outbox import Applied, Busy, Counts, NotApplied, Route, Routes
from outlast.policies import CircuitBreaker, CircuitState, HalfOpen
from outlast.sync_engine import CallableTransport, Runner
from outlast.testing import ManualClock


def named(server, name):
    """Make a transport to an origin."""
    return CallableTransport(server, name=name)


async def test_each_kind_goes_its_own_way_and_the_rest_is_left_alone(place):
    """What nothing here carries stays ready, for whoever has something for it, and holds back only its lane."""
    notes, users = Server(), Server()
    async with opened(place) as box:
        await box.enqueue(
            put("a"), put("u", kind="user"), put("x", kind="alien"), put("x2", kind="note", lane="l"),
            put("y", kind="alien", lane="m"), put("z", lane="m"),
        )  # fmt: skip
        await deliver(box, {"note": named(notes, "one"), "user": named(users, "two")})
        left = await box.counts()
        await deliver(box, {"alien": named(notes, "one"), "note": named(notes, "one")})

        assert (sorted(notes.entities), users.entities) == (["a", "x", "x2", "y", "z"], ["u"])
        assert notes.entities.index("y") < notes.entities.index("z")
        assert (left, await box.counts()) == (Counts(ready=3, delivered=3), Counts(delivered=6))


async def test_a_route_that_comes_later_frees_what_waited_for_it(place):
    """A runner that is running carries a new kind as soon as it is told how, and stops when it is told to."""
    notes, users = Server(), Server()
    routes, way = Routes(), Route(named(users, "two"))
    routes.add("note", Route(named(notes, "one")))
    async with opened(place) as box:
        first, second = await box.enqueue(put("a"), put("u", kind="user"))
        async with Runner(box, routes) as run:
            running = asyncio.create_task(run.run_forever())
            await first.settled(timeout=60)
            waiting = (await box.counts()).ready
            routes.add("user", way)
            box.core.notify()
            await second.settled(timeout=60)
            routes.remove("user", way)
            third = (await box.enqueue(put("v", kind="user"), put("b")))[1]
            await third.settled(timeout=60)
            running.cancel()

        assert (waiting, users.entities, (await box.counts()).ready) == (1, ["u"], 1)


async def test_an_origin_that_is_down_does_not_hold_back_another(place):
    """Its circuit opens, its ops keep their attempts; the other one's flow."""
    down, up = Server(), Server()
    breaker = CircuitBreaker(failure_threshold=1, open_for=3600.0)
    routes = Routes({"note": Route(named(down, "down"), breaker), "user": Route(named(up, "up"))})
    async with opened(place) as box:
        down.script["n0"] = [NotApplied("refused")]
        await box.enqueue(put("n0"))
        async with Runner(box, routes, concurrency=2) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: breaker.state is CircuitState.OPEN)
            await box.enqueue(*[put(f"n{number}") for number in range(1, 30)])
            tickets = await box.enqueue(*[put(f"u{number}", kind="user") for number in range(30)])
            for ticket in tickets:
                await ticket.settled(timeout=60)
            running.cancel()

        assert (down.entities, len(up.seen), await box.counts()) == (
            ["n0"],
            30,
            Counts(ready=29, waiting=1, delivered=30),
        )


async def test_half_open_sends_one_op_of_one_lane(place):
    """Of many lanes one op goes as the probe, and its success lets the others go."""
    flying, most = set(), []
    breaker = CircuitBreaker(failure_threshold=1, open_for=0.05, recovery=HalfOpen(max_calls=1, success_threshold=1))
    state = {"down": True}

    async def act(op):
        if state["down"]:
            state["down"] = False
            return NotApplied("refused")
        flying.add(op.entity)
        probing = breaker.state is CircuitState.HALF_OPEN
        await asyncio.sleep(0.02)
        most.append((probing, len(flying)))
        flying.discard(op.entity)
        return Applied()

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(12)])
        await deliver(box, {"note": named(act, "one")}, breaker=breaker, concurrency=4)

        assert [count for probing, count in most if probing] == [1]
        assert await box.counts() == Counts(delivered=12)


async def test_a_pause_outlives_a_restart_and_no_clock_stretches_it(place):
    """What an origin asked for is kept to by the next process too, at most for as long as it was to last."""
    clock = ManualClock(wall=1.8e9)
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"), put("b"), put("c", kind="user"))
        async with runner(
            box, {"note": named(Server(a=[Busy("429", 100.0, whole_origin=True)]), "one")}, concurrency=1
        ) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run.stats.postponed == 1)
            running.cancel()
    for wall, left in [(1.8e9 + 40.0, 60.0), (1.7e9, 100.0), (1.9e9, 0.0)]:
        clock, server, users = ManualClock(wall=wall), Server(), Server()
        routes = {"note": named(server, "one"), "user": named(users, "two")}
        async with opened(place, clock=clock) as box, runner(box, routes) as run:
            assert run._loop.gates.of(run._routes.find("note")).closed_for() == pytest.approx(left)
            if wall < 1.75e9:
                running = asyncio.create_task(run.run_forever())
                await until(lambda: run.stats.delivered == 1)
                running.cancel()
                assert (server.entities, users.entities) == ([], ["c"])
    async with opened(place, clock=ManualClock(wall=1.9e9)) as box:
        await deliver(box, named(Server(), "one"))
        assert await box.counts() == Counts(delivered=3)


async def test_a_longer_pause_that_is_in_force_stays(place):
    """A second 429 that asks for less does not shorten the first."""
    server = Server(a=[Busy("429", 100.0, whole_origin=True)], b=[Busy("429", 1.0, whole_origin=True)])
    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        async with runner(box, named(server, "one"), concurrency=2) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run.stats.postponed == 2)
            running.cancel()

        ((name, delay),) = [tuple(row) for row in place.execute("SELECT name, delay FROM $origin")]
        assert (name, 99.0 < delay <= 100.0) == ("one", True)


def test_one_circuit_for_two_origins_is_refused():
    """They would open each other's."""
    routes = {"a": named(None, "one"), "b": named(None, "two")}
    with pytest.raises(ConfigError, match="one circuit for several origins"):
        Routes.of(routes, CircuitBreaker())
    assert Routes.of({**routes, "b": routes["a"]}, CircuitBreaker()).find("b").breaker is not None


async def test_the_circuit_of_a_kind_can_be_asked_for(place):
    """Each origin has its own; for a kind that nothing carries there is none."""
    async with opened(place) as box:
        run = runner(box, {"a": named(None, "one"), "b": named(None, "two"), "c": named(None, "one")})

        assert run.breaker_of("a") is run.breaker_of("c") is run.breaker is not run.breaker_of("b")
        with pytest.raises(ConfigError, match="nothing carries"):
            run.breaker_of("d")
