"""Bodies lie in the database as a codec of the user writes them, and are seen nowhere else in the clear."""

import asyncio
import json
from contextlib import closing

import apsw
import psycopg
import pytest
from cryptography.fernet import Fernet, MultiFernet

from delivering import Server, deliver, opened, put, runner, until
from outlast.errors import ConfigError
from outlast.outbox import Applied, Coalescing, Counts, NotApplied, OpState, Outbox, Rejected, SyncOutbox, enqueue_in
from outlast.sync_engine import CallableTransport

SECRET = b"the-secret-word"


class Sealed:
    """Encrypt with Fernet (AES-128-CBC and HMAC-SHA256)."""

    name = "fernet"

    def __init__(self, *keys):
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encode(self, body):
        """Encrypt under the first key."""
        return self._fernet.encrypt(body)

    def decode(self, stored):
        """Decrypt under whichever key it was encrypted with."""
        return self._fernet.decrypt(stored)


@pytest.fixture
def key():
    """A key of its own."""
    return Fernet.generate_key()


def secret(text="a"):
    """Make a body that must not be seen."""
    return json.dumps({"text": f"{SECRET.decode()} {text}"}).encode()


def stored(place):
    """Return all that lies in the columns of bodies, by table."""
    columns = {"op": "body, base", "seal": "body, body_hash", "shadow": "body, body", "parked": "body, base"}
    found = {table: place.execute(f"SELECT {some} FROM ${table}") for table, some in columns.items()}
    found["parked"] += place.execute("SELECT theirs, theirs FROM $parked")
    return [(table, bytes(value)) for table, rows in found.items() for row in rows for value in row if value]


def test_nothing_is_in_the_clear_and_everything_arrives(place, key):
    """Queued, folded, sealed, parked, replayed and known of the server: the bytes of the file never show a body."""
    clear = []

    async def scenario():
        server = Server(a=[NotApplied("cut")] * 3, dead=[Rejected("400")], f=[Applied('"1"')])
        async with opened(place, codec=Sealed(key), coalescing=Coalescing()) as box:
            await box.enqueue(put("a", secret("1"), base=secret("0")), put("dead", secret("2")), put("f", secret("3")))
            await box.enqueue(put("f", secret("4")))
            assert json.loads((await box.pending("note"))[0].body)["text"].endswith("1")
            async with runner(box, server) as run:
                running = asyncio.create_task(run.run_forever())
                await until(lambda: run.stats.postponed)
                clear.extend(stored(place))
                running.cancel()
            await deliver(box, server)
            clear.extend(stored(place))
            (dead,) = await box.list(OpState.DEAD)
            await box.replay(dead.seq)
            await deliver(box, server)
            clear.extend(stored(place))
            assert await box.counts() == Counts(delivered=3)
            keys = [op.key for op in server.seen if op.entity == "dead"]
            assert keys[0] == keys[1]
            bodies = {op.entity: json.loads(op.body)["text"][-1] for op in server.seen}
            assert bodies == {"a": "1", "dead": "2", "f": "4"}

    asyncio.run(scenario())
    assert {table for table, _ in clear} == {"op", "seal", "shadow", "parked"}
    assert not [table for table, value in clear if SECRET in value]
    if place.kind == "sqlite":
        beside = [path.read_bytes() for path in place.path.parent.iterdir() if path.is_file()]
        assert beside
        assert not [content for content in beside if SECRET in content]


async def test_only_the_same_codec_opens_it(place, key):
    """No codec, another one, or another key is refused with the reason, and nothing is changed by the attempt."""
    other = Sealed(key)
    other.name = "other"
    async with opened(place, codec=Sealed(key)) as box:
        await box.enqueue(put("a", secret()))
    for codec, message in [
        (None, "are written with the codec 'fernet'"),
        (other, "are written with the codec 'fernet'"),
        (Sealed(Fernet.generate_key()), "cannot read this outbox; most likely it was given another key"),
    ]:
        with pytest.raises(ConfigError, match=message):
            await Outbox.open(place, codec=codec, durability="process")
        with pytest.raises(ConfigError, match=message):
            SyncOutbox.open(place, codec=codec, durability="process")
    server = Server()
    async with opened(place, codec=Sealed(Fernet.generate_key(), key)) as box:
        await deliver(box, server)
    assert [op.body for op in server.seen] == [secret()]


async def test_an_outbox_with_bodies_in_the_clear_does_not_become_one(place, key):
    """They would stay in the clear; an empty one may, for there is nothing in it."""
    async with opened(place) as box:
        ticket = (await box.enqueue(put("a", b"{}")))[0]
    with pytest.raises(ConfigError, match="holds bodies that are not encoded"):
        await Outbox.open(place, codec=Sealed(key), durability="process")
    async with opened(place) as box:
        await deliver(box, Server(a=[Rejected("400")]))
        await box.discard(ticket.seq)
    async with opened(place, codec=Sealed(key)) as box:
        await box.enqueue(put("a", secret()))
    assert not [table for table, value in stored(place) if SECRET in value]


async def test_a_body_that_cannot_be_read_costs_only_its_own_write(place, key):
    """It goes to the dead letters with the reason, and the others are delivered."""
    server = Server()
    async with opened(place, codec=Sealed(key)) as box:
        bad, _ = await box.enqueue(put("a", secret("1")), put("b", secret("2")))
        place.execute("UPDATE $op SET body = ? WHERE seq = ?", b"gibberish", bad.seq)
        await deliver(box, server)
        status = await bad.status()

        assert (status.state, server.entities) == (OpState.DEAD, ["b"])
        assert status.reason == "the codec 'fernet' cannot read a body (InvalidToken: )"


def test_a_transaction_of_the_caller_writes_as_the_outbox_does(place, key):
    """The outbox knows its codec; without it open, it must be given, and none is refused."""
    if place.kind == "sqlite":
        inside, connection = {"inside": True}, apsw.Connection(str(place))
    else:
        inside, connection = {}, psycopg.connect(place.libpq)
    with closing(connection), SyncOutbox.open(place, codec=Sealed(key), durability="process", **inside) as box:
        connection.execute("BEGIN")
        box.enqueue_in(connection, put("a", secret("1")))
        enqueue_in(connection, put("b", secret("2")), codec=Sealed(key), schema=place.schema)
        with pytest.raises(ConfigError, match="fernet"):
            enqueue_in(connection, put("c", secret("3")), schema=place.schema)
        connection.execute("COMMIT")

        assert [json.loads(op.body)["text"][-1] for op in box.pending("note")] == ["1", "2"]


async def test_what_the_transport_sends_is_kept_too(place, key):
    """A request whose bytes are not the op's is the same at the second attempt."""
    seen = []

    class Wrapping(CallableTransport):
        def seal(self, op):
            """Wrap the body."""
            return super().seal(op)._replace(body=b'{"data": ' + op.body + b"}")

        async def send(self, op, request):
            """Refuse to answer once."""
            seen.append(request.body)
            return await super().send(op, request)

    async with opened(place, codec=Sealed(key)) as box:
        await box.enqueue(put("a", secret()))
        await deliver(box, Wrapping(Server(a=[NotApplied("cut")])))

    assert seen == [b'{"data": ' + secret() + b"}"] * 2


async def test_a_codec_that_panics_costs_only_its_own_write(place):
    """What a library in Rust raises is no `Exception`; whoever writes is told, and the next ones are served."""

    class PanicError(BaseException):
        pass

    class Panicking:
        name = "panicking"

        def encode(self, body):
            if SECRET in body:
                raise PanicError("at src/lib.rs:1")
            return body

        def decode(self, stored):
            return stored

    async with opened(place, codec=Panicking()) as box, asyncio.timeout(30):
        # Several at once are written by the writer's own thread.
        found = await asyncio.gather(
            *(box.enqueue(put("a"), put(f"b{number}", secret())) for number in range(3)), return_exceptions=True
        )
        await box.enqueue(put("c"), put("d"))

        assert [str(error).rpartition(": ")[2] for error in found] == ["at src/lib.rs:1"] * 3
        assert [op.entity for op in await box.pending("note")] == ["c", "d"]
