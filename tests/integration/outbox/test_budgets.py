"""Each way to fail has a budget of its own."""

import asyncio
from concurrent.futures import Future

import pytest

from delivering import Server, deliver, die_with_claims, opened, put, runner, until
from outlast.engines.backoff import Backoff
from outlast.errors import StorageBusyError
from outlast.events import OpDied
from outlast.outbox import (
    Applied,
    Busy,
    Counts,
    DeliveryPolicy,
    Found,
    InDoubt,
    LeaseConfig,
    Missing,
    NotApplied,
    OpState,
    Rejected,
    Unreadable,
)
from outlast.outbox._recorder import patiently
from outlast.policies import CircuitBreaker
from outlast.sync_engine import CallableTransport
from outlast.testing import ManualClock, Recorder

LATE = DeliveryPolicy(backoff=Backoff.fixed(3600.0))


async def reason_of(box, seq=1):
    """Return why a write is where it is."""
    return (await box.ticket(seq).status()).reason


async def fail_once(box, answer):
    """Send one op, get an answer that settles nothing, and stop."""
    async with runner(box, Server(a=[answer]), policy=LATE) as run:
        running = asyncio.create_task(run.run_forever())
        await until(lambda: run.stats.postponed == 1)
        running.cancel()
        await asyncio.wait([running])


async def test_no_answer_is_forgiven_without_end(place):
    """A hundred times without an answer, an op that never expires is still delivered."""
    server = Server(a=[NotApplied("refused"), InDoubt("cut")] * 50)
    async with opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(
            box,
            server,
            policy=DeliveryPolicy(backoff=Backoff.fixed(0.0)),
            breaker=CircuitBreaker(failure_threshold=10_000),
        )

        assert (await box.counts(), len(server.seen)) == (Counts(delivered=1), 101)


async def test_what_expires_before_it_is_sent_dies_unsent(place):
    """It is given up when its turn comes, and its later writes wait for a decision."""
    clock, server = ManualClock(wall=1.8e9), Server()
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a", expires=60.0), put("a"), put("b", expires=3600.0))
        clock.advance(61.0)
        await deliver(box, server)

        assert (server.entities, await box.counts()) == (["b"], Counts(ready=1, dead=1, delivered=1))
        assert await reason_of(box) == "it expired before it was delivered"


async def test_a_busy_server_is_waited_for_until_the_op_expires(place):
    """The wait that a server asks for ends with the op; nobody doubts that it was not done."""
    clock = ManualClock(wall=1.8e9)
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a", expires=60.0))
        server = Server(a=[Busy("503", retry_after=3600.0)])
        async with runner(box, server, lease=LeaseConfig(beat_every=3600.0, ttl=10_800.0)) as run:
            running = asyncio.create_task(run.run_until_idle())
            await until(lambda: run._loop.next_try_in() > 0)
            wait = run._loop.next_try_in()
            clock.advance(61.0)
            await asyncio.wait_for(running, 60)

        assert (0 < wait <= 60.0, len(server.seen), (await box.counts()).dead) == (True, 1, 1)
        assert await reason_of(box) == "it expired before it was delivered"


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        pytest.param(Found(True), OpState.DELIVERED, "", id="it-was-done"),
        pytest.param(Found(False), OpState.DEAD, "it expired, and the server does not hold it", id="it-was-not"),
        pytest.param(Missing(), OpState.DEAD, "it expired, and the server does not hold it", id="nothing-there"),
        pytest.param(
            Unreadable("no way", permanent=True),
            OpState.CONFLICT,
            "it expired; it may have taken effect, and cannot be read back: no way",
            id="nobody-can-tell",
        ),
    ],
)
async def test_what_expires_in_doubt_is_looked_for_first(place, found, state, reason):
    """An op whose answer was lost is never given up unseen."""
    clock, server = ManualClock(wall=1.8e9), Server()

    async def read_back(op):
        return found

    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a", expires=60.0))
        await fail_once(box, InDoubt("cut"))
        clock.advance(61.0)
        await deliver(box, CallableTransport(server, read_back=read_back))
        status = await box.ticket(1).status()

        assert (server.seen, status.state, status.reason) == ([], state, reason)


async def test_refusals_are_forgiven_as_often_as_allowed_across_restarts(place):
    """Two refusals are forgiven, the third is final, whoever counts them."""
    policy = DeliveryPolicy(backoff=Backoff.fixed(0.01), max_refusals=2)
    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        server = Server(a=[Rejected("400")] * 3, b=[Rejected("400")] * 2)
        await deliver(box, server, policy=policy)

        assert (await box.counts(), len(server.seen)) == (Counts(dead=1, delivered=1), 6)
        assert await reason_of(box) == "400"


async def test_what_was_on_the_wire_when_its_process_died_goes_alone(place):
    """Until it has shown that it is not the killer nothing else is on the wire."""
    flying, together = set(), []

    async def act(op):
        flying.add(op.entity)
        together.append(set(flying))
        await asyncio.sleep(0.01)
        flying.discard(op.entity)
        return Applied()

    async with opened(place) as box:
        await box.enqueue(*[put(entity) for entity in "abc"])
        async with runner(box, Server(**{entity: [InDoubt("cut")] for entity in "abc"}), policy=LATE) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run.stats.postponed == 3)
            running.cancel()
        die_with_claims(place)
        await box.enqueue(*[put(entity) for entity in "defghi"])
        await deliver(box, act)

        assert (await box.counts()).delivered == 9
        assert [seen for seen in together if seen & set("abc")] == [{"a"}, {"b"}, {"c"}]
        assert max(map(len, together)) > 1


async def test_an_op_that_kills_its_process_again_and_again_is_poison(place):
    """Three deaths are forgiven; at the fourth it goes to the dead letters, and its lane waits."""
    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"), put("b"))
        await fail_once(box, InDoubt("cut"))
        for deaths in range(1, 4):
            await killed(box, place)
            assert [tuple(row) for row in place.execute("SELECT unreported FROM $seal WHERE seq = 1")] == [(deaths,)]
        die_with_claims(place)
        server = Server()
        with Recorder(box.core.bus, OpDied) as seen:
            await deliver(box, server)

        assert (await box.counts()).dead == 1
        assert "a" not in server.entities
        assert [event.reason for event in seen.events] == [
            "poison: death 4 of its process while it was being sent; 3 are forgiven; it may have taken effect"
        ]


async def killed(box, place):
    """Let a runner claim what is suspected, and leave the file as if it had been killed then."""
    die_with_claims(place)
    sent = asyncio.Event()

    async def act(op):
        sent.set()
        await asyncio.sleep(3600)

    async with runner(box, act, drain=0.0) as run:
        running = asyncio.create_task(run.run_forever())
        await sent.wait()
        (counted,) = place.execute("SELECT unreported FROM $seal WHERE seq = 1")
        running.cancel()
        await asyncio.wait([running])
    place.execute("UPDATE $seal SET due = NULL, unreported = ? WHERE seq = 1", counted[0])


async def test_an_op_that_reports_back_is_no_longer_suspected(place):
    """Any outcome that is recorded begins the count anew; what was cut by leaving is no death at all."""
    async with opened(place) as box:
        await box.enqueue(put("a"))
        await fail_once(box, InDoubt("cut"))
        place.execute("UPDATE $seal SET due = NULL, unreported = 2")
        await fail_once(box, InDoubt("cut"))
        counted = place.execute("SELECT unreported FROM $seal")
        hang = asyncio.Event()

        async def act(op):
            hang.set()
            await asyncio.sleep(3600)

        place.execute("UPDATE $seal SET due = 0, delay = 0")
        async with runner(box, act, drain=0.01) as run:
            running = asyncio.create_task(run.run_forever())
            await hang.wait()
            running.cancel()
        async with runner(box, Server()) as run:
            suspects = set(run._loop._claimer.suspects)

        assert ([tuple(row) for row in counted], suspects) == ([(0,)], set())


@pytest.mark.parametrize(
    ("found", "sent", "state"),
    [
        pytest.param(Found(True, '"7"'), 0, OpState.DELIVERED, id="it-was-done"),
        pytest.param(Found(False), 1, OpState.DELIVERED, id="it-was-not"),
        pytest.param(Missing(), 1, OpState.DELIVERED, id="nothing-there"),
        pytest.param(Unreadable("no way", permanent=True), 0, OpState.CONFLICT, id="nobody-can-tell"),
    ],
)
async def test_a_key_that_may_be_forgotten_is_not_trusted(place, found, sent, state):
    """An op in doubt for longer than servers remember keys is read back before it is sent again."""
    clock, server = ManualClock(wall=1.8e9), Server()

    async def read_back(op):
        return found

    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        await fail_once(box, InDoubt("cut"))
        clock.advance(90_000.0)
        await deliver(box, CallableTransport(server, read_back=read_back))

        assert (len(server.seen), (await box.ticket(1).status()).state) == (sent, state)


async def test_a_key_is_trusted_when_nothing_is_in_doubt(place):
    """What surely was not done is sent again however long ago its first attempt was."""
    clock, server, read = ManualClock(wall=1.8e9), Server(), []

    async def read_back(op):
        read.append(op)
        return Missing()

    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        await fail_once(box, NotApplied("refused"))
        clock.advance(90_000.0)
        await deliver(box, CallableTransport(server, read_back=read_back))

        assert (len(server.seen), read, await box.counts()) == (1, [], Counts(delivered=1))


async def test_a_doubt_stays_whatever_later_attempts_say(place):
    """A later attempt that surely did nothing says nothing about the first."""
    async with opened(place) as box:
        await box.enqueue(put("a"))
        await fail_once(box, InDoubt("cut"))
        place.execute("UPDATE $seal SET due = 0, delay = 0")
        await fail_once(box, NotApplied("refused"))

        assert [tuple(row) for row in place.execute("SELECT doubt FROM $seal")] == [(1,)]


async def test_a_locked_file_is_waited_for_and_ends_nothing(place):
    """However long somebody else holds the file, the order is given again."""
    async with opened(place) as box:
        tries = []

        def order():
            tries.append(len(tries))
            future = box.core.counts()
            if len(tries) < 4:
                future = _failed(StorageBusyError("locked"))
            return future

        assert await patiently(box.core, order) == Counts()
        assert tries == [0, 1, 2, 3]


def _failed(error):
    """Make a future that has failed."""
    future = Future()
    future.set_exception(error)
    return future
