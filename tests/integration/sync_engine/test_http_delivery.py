from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
import pytest

from outlast.errors import AuthenticationError
from outlast.events import OriginPaused
from outlast.lab.proxy import BlackHole, DropAnswer, Healthy, Refuse, Status
from outlast.outbox import Counts, OpState, Verb, Write
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.testing import Recorder


async def edit(world, note, write):
    """Change a note as another client would."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        url = f"http://127.0.0.1:{world.api.port}/notes/{note}"
        answer = await http.put(url, json={"write": f"{world.prefix}-{write}", "text": "theirs"})
        return answer.headers["etag"]


async def test_writes_arrive_once_and_in_order(world):
    """Each entity's writes are applied in the order of queueing, while many go at once and answers get lost."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(DropAnswer(0.3))
        for number in range(8):
            await box.enqueue(
                *[
                    Write(verb=Verb.PUT, kind="notes", entity=world.note(lane), body=body(world, lane, number))
                    for lane in "abcde"
                ]
            )
        await world.deliver(box, breaker=CircuitBreaker(failure_threshold=10_000))

        applied = world.writes()
        assert sorted(applied) == sorted(f"{lane}{number}" for lane in "abcde" for number in range(8))
        for lane in "abcde":
            assert [write for write in applied if write[0] == lane] == [f"{lane}{number}" for number in range(8)]
        assert await box.counts() == Counts(delivered=40)
        keys = Counter((exchange.idempotency_key, exchange.body_sha256) for exchange in proxy.exchanges)
        assert len(keys) == 40 < len(proxy.exchanges)


def body(world, lane, number):
    """Make the body of a note."""
    return f'{{"write": "{world.prefix}-{lane}{number}", "text": "x"}}'.encode()


async def test_an_ack_gives_its_version_to_the_follower(world):
    """The second write of an entity carries the ETag of the first, so that nobody else's edit is overwritten."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        for number in range(3):
            await box.put("notes", world.note(), world.body(str(number)))
        await world.deliver(box)

        assert [exchange.if_match for exchange in proxy.exchanges] == [None, '"1"', '"2"']


@pytest.mark.parametrize("keys", [True, False], ids=["with-keys", "without-keys"])
@pytest.mark.parametrize(
    ("verb", "sent"),
    [pytest.param("create", [201, 412], id="create"), pytest.param("put", [200, 412], id="put-of-a-version")],
)
async def test_an_own_success_whose_answer_was_lost_is_no_conflict(world, keys, verb, sent, until):
    """With keys the server repeats its answer; without, its refusal is settled by reading back: it is our own write."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        options = {"if_match": await edit(world, world.note(), "theirs")} if verb == "put" else {}
        proxy.set(DropAnswer())
        ticket = await getattr(box, verb)("notes", world.note(), world.body("ours"), **options)
        async with world.runner(box, transport={} if keys else {"idempotency_header": None}) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: runner.stats.postponed)
            proxy.set(Healthy())
            await running

        status = await ticket.status()
        puts = [exchange.upstream_status for exchange in proxy.exchanges if exchange.method == "PUT"]
        gets = [exchange for exchange in proxy.exchanges if exchange.method == "GET"]
        assert status.state is OpState.DELIVERED
        assert status.etag == ('"1"' if verb == "create" else '"2"')
        assert world.writes().count("ours") == 1
        if keys:
            assert (set(puts), gets) == ({sent[0]}, [])
        else:
            assert puts[0] == sent[0]
            assert set(puts[1:]) == {sent[1]}
            assert len(gets) == 1


@pytest.mark.parametrize("verb", ["create", "put"])
async def test_somebody_elses_content_is_a_conflict_and_untouched(world, verb):
    """Different content is never overwritten, and what lies behind in the lane waits."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        await edit(world, world.note(), "first")
        await edit(world, world.note(), "second")
        options = {"if_match": '"1"'} if verb == "put" else {}
        ticket = await getattr(box, verb)("notes", world.note(), world.body("ours"), **options)
        await box.put("notes", world.note(), world.body("behind"))
        await world.deliver(box)

        status = await ticket.status()
        assert (status.state, status.attempts) == (OpState.CONFLICT, 1)
        assert "the server holds other content" in status.reason
        assert world.writes() == ["first", "second"]
        assert await box.counts() == Counts(ready=1, conflict=1)
        assert len(proxy.exchanges) == 2


async def test_an_entity_that_is_gone_is_a_conflict(world):
    """A write that is based on a version of something deleted is not sent again and again."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        ticket = await box.put("notes", world.note(), world.body("ours"), if_match='"1"')
        await world.deliver(box)

        status = await ticket.status()
        assert (status.state, world.writes()) == (OpState.CONFLICT, [])
        assert "the entity is gone on the server" in status.reason


@pytest.mark.parametrize(
    ("verb", "code", "state"),
    [
        pytest.param("delete", 404, OpState.DELIVERED, id="404-delete"),
        pytest.param("delete", 410, OpState.DELIVERED, id="410-delete"),
        pytest.param("put", 404, OpState.CONFLICT, id="404-put"),
        pytest.param("patch", 410, OpState.CONFLICT, id="410-patch"),
        pytest.param("create", 404, OpState.DEAD, id="404-create"),
        pytest.param("post", 404, OpState.DEAD, id="404-post"),
        pytest.param("post", 409, OpState.CONFLICT, id="409-post"),
        pytest.param("put", 400, OpState.DEAD, id="400"),
        pytest.param("put", 403, OpState.DEAD, id="403"),
        pytest.param("put", 422, OpState.DEAD, id="422"),
    ],
)
async def test_final_answers(world, verb, code, state):
    """One request is enough to know what became of the write."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(Status(code))
        arguments = () if verb == "delete" else (world.body("x"),)
        ticket = await getattr(box, verb)("notes", world.note(), *arguments)
        await world.deliver(box)

        assert (await ticket.status()).state is state
        assert len(proxy.exchanges) == 1


async def test_new_credentials_go_on_where_the_old_ones_failed(world):
    """A 401 stops the run with a clear error, costs nothing, and the next run delivers everything."""
    token = ["old"]
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(Status(401))
        for number in range(10):
            await box.put("notes", world.note(str(number)), world.body(str(number)))
        transport = {"headers": lambda: {"Authorization": f"Bearer {token[0]}"}}
        async with world.runner(box, transport=transport) as runner:
            with pytest.raises(AuthenticationError) as refused:
                await runner.run_until_idle()
            before = await box.counts()
            proxy.set(Healthy())
            token[0] = "new"
            async with asyncio.timeout(50):
                await runner.run_until_idle()

        assert refused.value.status_code == 401
        assert (before.open, before.dead) == (10, 0)
        assert len(world.writes()) == 10
        assert b"Bearer" not in files(world)


def files(world):
    """Return every byte that lies beside the outbox."""
    return b"".join(path.read_bytes() for path in world.path.parent.iterdir() if path.is_file())


async def test_credentials_are_in_no_file(world, until):
    """While an op is sealed and waits, neither the file nor its log nor the lease holds them; the URL does neither."""
    secret = "very-secret-token"
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(Status(503))
        await box.put("notes", world.note(), world.body("x"))
        transport = {"headers": {"Authorization": f"Bearer {secret}"}}
        async with world.runner(box, transport=transport) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: runner.stats.postponed)
            waiting = files(world)
            proxy.set(Healthy())
            await running

        assert world.note().encode() in waiting
        assert secret.encode() not in waiting + files(world)


async def test_a_quota_pauses_everything_for_as_long_as_asked(world, until):
    """After a 429 with Retry-After nothing is sent to that origin until the time is over."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        for number in range(6):
            await box.put("notes", world.note(str(number)), world.body(str(number)))
        proxy.set(Status(429, retry_after=1))
        seen = stack.enter_context(Recorder(world.bus, OriginPaused))
        async with world.runner(box, concurrency=1) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: seen.events)
            proxy.set(Healthy())
            async with asyncio.timeout(50):
                await running

        first, *others = [exchange.at for exchange in proxy.exchanges]
        assert min(others) - first >= 0.99
        assert seen.events[0].wait == 1.0
        assert len(world.writes()) == 6


async def test_refused_connections_cost_no_attempts(world):
    """While nobody listens the circuit opens and ops wait; when somebody does, all go at once."""
    breaker = CircuitBreaker(failure_threshold=5, open_for=0.1, recovery=HalfOpen(max_calls=1, success_threshold=1))
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(Refuse())
        for number in range(20):
            await box.put("notes", world.note(str(number)), world.body(str(number)))
        async with world.runner(box, breaker=breaker, concurrency=5) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await asyncio.sleep(0.5)
            spent = sum(status.attempts for status in await box.list())
            proxy.set(Healthy())
            async with asyncio.timeout(50):
                await running

        assert spent <= 5 + 6
        assert len(world.writes()) == 20
        assert all(exchange.idempotency_key for exchange in proxy.exchanges)


async def test_a_black_hole_is_in_doubt_and_resolved(world, until):
    """Silence is cut at the limit of the call, and the repetition finds out what happened, whichever it was."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(BlackHole(0.5))
        for number in range(8):
            await box.put("notes", world.note(str(number)), world.body(str(number)))
        async with world.runner(box, transport={"call_timeout": 0.1}, concurrency=8) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: runner.stats.postponed >= 5)
            proxy.set(Healthy())
            async with asyncio.timeout(50):
                await running

        assert Counter(world.writes()) == {str(number): 1 for number in range(8)}


async def test_odd_ids_reach_their_own_note(world):
    """What an id holds is one name on the server too."""
    names = ["a b", "é", "a?b", "100%", "a#b", "..."]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        for number, name in enumerate(names):
            await box.put("notes", world.note(name), world.body(str(number)))
        await world.deliver(box)

        assert {note.removeprefix(f"{world.prefix}-") for note, _ in world.api.effects(world.prefix)} == set(names)


async def test_a_server_error_after_the_effect_is_not_a_second_effect(world, until):
    """A 500 leaves the effect in doubt, so the same key is sent until the server says what it had answered."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        proxy.set(Status(500, applied_share=1.0))
        ticket = await box.put("notes", world.note(), world.body("x"))
        async with world.runner(box) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: runner.stats.postponed >= 2)
            proxy.set(Healthy())
            async with asyncio.timeout(50):
                await running

        assert (await ticket.status()).state is OpState.DELIVERED
        assert world.writes() == ["x"]
