"""redis-py against a real Valkey, and against ports that misbehave."""

import asyncio
import threading

import pytest
import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from outlast.errors import classify

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL = "invalid_input not_applied", "fatal not_applied"

LIMITS = {"socket_timeout": 0.3, "socket_connect_timeout": 0.3}


def client(port, **options):
    """Return a client that tries once."""
    return redis.Redis("127.0.0.1", port, **{"retry": Retry(NoBackoff(), 0), **LIMITS, **options})


def in_threads(port, *command, **options):
    """Run a command in the sync colour."""
    with client(port, **options) as valkey:
        valkey.execute_command(*command)


async def in_tasks(port, *command, **options):
    """Run a command in the async colour."""
    once = redis.asyncio.retry.Retry(NoBackoff(), 0)
    async with redis.asyncio.Redis(host="127.0.0.1", port=port, **{"retry": once, **LIMITS, **options}) as valkey:
        await valkey.execute_command(*command)


colours = pytest.mark.parametrize("run", [in_threads, in_tasks], ids=["sync", "async"])


@colours
@pytest.mark.parametrize(
    ("door", "expected"), [("refused", RETRY), ("full", RETRY), ("closing", RETRY_DOUBT), ("silent", RETRY_DOUBT)]
)
def test_no_answer(run, door, expected, doors, meaning):
    """What never came up is safe; what hung up or kept silent may have acted."""
    assert meaning(lambda: run(getattr(doors, door)(), "PING")) == expected


@colours
def test_what_is_no_redis(run, doors, meaning):
    """A garbage answer is not the caller's mistake."""
    assert meaning(lambda: run(doors.saying(b"HTTP/1.1 400 Bad\r\n\r\n"), "PING")) == RETRY_DOUBT


@colours
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", BUSY, id="loading"),
        pytest.param(b"-BUSY Redis is busy running a script\r\n", BUSY, id="busy-with-a-script"),
        pytest.param(b"-READONLY You can't write against a read only replica.\r\n", RETRY, id="replica"),
        pytest.param(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", BUSY, id="no-memory"),
        pytest.param(b"-MISCONF Redis is configured to save RDB snapshots\r\n", BUSY, id="disk"),
        pytest.param(b"-NOREPLICAS Not enough good replicas to write.\r\n", BUSY, id="no-replicas"),
        pytest.param(b"-MASTERDOWN Link with MASTER is down\r\n", BUSY, id="master-down"),
        pytest.param(b"-CLUSTERDOWN The cluster is down\r\n", BUSY, id="cluster-down"),
        pytest.param(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", BUSY, id="moving"),
        pytest.param(b"-ERR max number of clients reached\r\n", BUSY, id="clients"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", FATAL, id="no-auth"),
        pytest.param(b"-NOPERM this user has no permissions\r\n", FATAL, id="no-permission"),
        pytest.param(b"-WRONGPASS invalid username-password pair\r\n", FATAL, id="password"),
        pytest.param(b"-EXECABORT Transaction discarded\r\n", INPUT, id="exec-abort"),
        pytest.param(b"-NOSCRIPT No matching script\r\n", INPUT, id="no-script"),
    ],
)
def test_what_a_server_in_trouble_says(run, said, expected, doors, meaning):
    """The words before the message decide; redis-py makes classes of some of them only."""
    port = doors.saying(said)

    assert meaning(lambda: run(port, "SET", "a", "1", protocol=2, driver_info=None)) == expected


@colours
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("LPUSH", "text", "1"), INPUT),
        (("NOSUCH",), INPUT),
        (("GET",), INPUT),
        (("EVALSHA", "0" * 40, "0"), INPUT),
        (("AUTH", "nobody", "wrong"), FATAL),
        (("SET", "text", object()), INPUT),
    ],
)
def test_what_a_real_server_says(run, command, expected, valkey, meaning):
    """What the server refuses would be refused again."""
    in_threads(valkey, "SET", "text", "x")

    assert meaning(lambda: run(valkey, *command)) == expected


def test_what_the_server_may_not_do(valkey, meaning):
    """A user without the permission stays without it."""
    in_threads(valkey, "ACL", "SETUSER", "reader", "on", "nopass", "~*", "+get", "+client", "+hello")

    assert meaning(lambda: in_threads(valkey, "SET", "a", "1", username="reader", password="x")) == FATAL


def test_somebody_else_was_quicker(valkey, meaning):
    """A transaction that watched may be tried again: nothing of it took place."""

    def race():
        with client(valkey) as one, client(valkey) as two, one.pipeline() as transaction:
            transaction.watch("w")
            two.set("w", "theirs")
            transaction.multi()
            transaction.set("w", "ours")
            transaction.execute()

    assert meaning(race) == RETRY


def test_a_full_server(valkey, caught):
    """A server without room for another client says so and hangs up."""
    crowd = [client(valkey) for _ in range(30)]
    try:
        errors = [caught_or_none(one.ping) for one in crowd]
    finally:
        for one in crowd:
            one.close()

    refused = [classify(error).category for error in errors if error is not None]
    assert set(refused) == {"transient"}


def caught_or_none(body):
    """Return what a function raises, or None."""
    try:
        body()
    except redis.RedisError as error:
        return error
    return None


def test_a_full_pool(valkey, meaning):
    """No connection was free; nothing was sent."""

    def ask():
        pool = redis.ConnectionPool(host="127.0.0.1", port=valkey, max_connections=1)
        try:
            pool.get_connection()
            pool.get_connection()
        finally:
            pool.disconnect()

    assert meaning(ask) == BUSY


def test_a_connection_that_is_killed(valkey, meaning):
    """The server may have done what it was asked before the connection ended."""

    def ask():
        with client(valkey, socket_timeout=5) as one, client(valkey) as killer:
            number = one.client_id()
            timer = threading.Timer(0.1, lambda: killer.client_kill_filter(_id=number))
            timer.start()
            try:
                one.blpop("nothing", timeout=3)
            finally:
                timer.join()

    assert meaning(ask) == RETRY_DOUBT


def test_an_unknown_host(monkeypatch, meaning):
    """A name that nobody knows has had nothing sent to it."""

    def nobody(*args, **kwargs):
        raise redis.connection.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)

    assert meaning(lambda: redis.Redis("cache.internal", retry=Retry(NoBackoff(), 0)).ping()) == RETRY


def test_cancelling_is_nobodys_failure(doors):
    """Cancellation goes through redis-py as it is."""

    async def ask():
        task = asyncio.create_task(in_tasks(doors.silent(), "PING"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(ask())
