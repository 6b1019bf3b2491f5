"""psycopg, asyncpg and SQLAlchemy against a real PostgreSQL, and against ports that misbehave."""

import asyncio

import asyncpg
import psycopg
import psycopg_pool
import pytest
import sqlalchemy

from outlast.errors import classify

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL = "invalid_input not_applied", "fatal not_applied"
CORRUPT, UNKNOWN = "fatal in_doubt", "unknown in_doubt"

STATEMENTS = [
    pytest.param("select * from nowhere", INPUT, id="42P01-no-table"),
    pytest.param("select 1/0", INPUT, id="22012-division"),
    pytest.param("create temp table t (a int primary key); insert into t values (1), (1)", INPUT, id="23505-unique"),
    pytest.param("begin read only; create table t (a int)", RETRY, id="25006-read-only"),
    pytest.param("set statement_timeout = 20; select pg_sleep(5)", RETRY, id="57014-statement-timeout"),
    pytest.param("select pg_terminate_backend(pg_backend_pid())", RETRY_DOUBT, id="57P01-terminated"),
    pytest.param("set role pg_monitor; create role x", FATAL, id="42501-not-allowed"),
    pytest.param("do $$ begin raise exception 'mine'; end $$", INPUT, id="P0001-raised"),
    pytest.param("do $$ begin raise exception 'x' using errcode = '40001'; end $$", RETRY, id="40001-serialisation"),
    pytest.param("do $$ begin raise exception 'x' using errcode = '53100'; end $$", BUSY, id="53100-disk-full"),
    pytest.param("do $$ begin raise exception 'x' using errcode = '57P03'; end $$", BUSY, id="57P03-starting"),
    pytest.param(
        "do $$ begin raise exception 'x' using errcode = '40003'; end $$", RETRY_DOUBT, id="40003-completion-unknown"
    ),
    pytest.param("do $$ begin raise exception 'x' using errcode = '08006'; end $$", RETRY_DOUBT, id="08006-broken"),
    pytest.param(
        "do $$ begin raise exception 'x' using errcode = 'XX001'; end $$", "fatal in_doubt", id="XX001-corrupt"
    ),
    pytest.param(
        "do $$ begin raise exception 'x' using errcode = 'ZZ999'; end $$", "unknown in_doubt", id="unheard-of"
    ),
]


def address(port, **more):
    """Return the words that connect to a server."""
    words = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres", "connect_timeout": 2, **more}
    return " ".join(f"{key}={value}" for key, value in words.items())


def with_psycopg(port, statement):
    """Run statements with psycopg."""
    with psycopg.connect(address(port), autocommit=True) as connection:
        connection.execute(statement)


async def with_asyncpg(port, statement, **options):
    """Run statements with asyncpg."""
    where = {"user": "postgres", "database": "postgres", "ssl": False, "timeout": 2, **options}
    connection = await asyncpg.connect(host="127.0.0.1", port=port, **where)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def engine(port, **options):
    """Return a SQLAlchemy engine on psycopg."""
    url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?connect_timeout=2"
    return sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", **options)


def with_sqlalchemy(port, statement):
    """Run statements with SQLAlchemy on psycopg."""
    pool = engine(port)
    try:
        with pool.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        pool.dispose()


@pytest.mark.parametrize("run", [with_psycopg, with_asyncpg, with_sqlalchemy])
@pytest.mark.parametrize(("statement", "expected"), STATEMENTS)
def test_what_the_server_reports(run, statement, expected, postgres, meaning):
    """Each error code means the same, whichever driver reports it."""
    assert meaning(lambda: run(postgres, statement)) == expected


@pytest.mark.parametrize("run", [with_psycopg, with_asyncpg, with_sqlalchemy])
def test_a_lock_that_is_held(run, postgres, meaning):
    """Who waited too long for a lock may try again later (55P03)."""
    with psycopg.connect(address(postgres), autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(7)")

        assert meaning(lambda: run(postgres, "set lock_timeout = 20; select pg_advisory_lock(7)")) == BUSY


def crossing(postgres):
    """Let two transactions wait for each other."""
    with psycopg.connect(address(postgres)) as one, psycopg.connect(address(postgres)) as two:
        for connection in (one, two):
            connection.execute("set deadlock_timeout = 50")
        one.execute("select pg_advisory_xact_lock(1)")
        two.execute("select pg_advisory_xact_lock(2)")
        with one.pipeline():
            one.execute("select pg_advisory_xact_lock(2)")
            two.execute("select pg_advisory_xact_lock(1)")


def test_two_that_wait_for_each_other(postgres, meaning):
    """The one that the server chose to lose may try again (40P01)."""
    assert meaning(lambda: crossing(postgres)) == RETRY


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({"dbname": "nowhere"}, INPUT, id="3D000-no-database"),
        pytest.param({"user": "nobody"}, FATAL, id="28000-no-role"),
    ],
)
def test_refused_by_the_server(more, expected, postgres, meaning):
    """While connecting, libpq hides the code, so psycopg knows only that nothing was sent; asyncpg has it."""
    named = {"database" if key == "dbname" else key: value for key, value in more.items()}

    assert meaning(lambda: psycopg.connect(address(postgres, **more))) == RETRY
    assert meaning(lambda: with_asyncpg(postgres, "", **named)) == expected


@pytest.mark.parametrize("run", [with_psycopg, with_sqlalchemy])
@pytest.mark.parametrize("door", ["refused", "closing", "silent"])
def test_no_connection(run, door, doors, meaning):
    """A connection that never came up has sent nothing."""
    assert meaning(lambda: run(getattr(doors, door)(), "select 1")) == RETRY


@pytest.mark.parametrize(("door", "expected"), [("refused", RETRY), ("closing", RETRY_DOUBT), ("silent", RETRY_DOUBT)])
def test_no_connection_with_asyncpg(door, expected, doors, meaning):
    """Asyncpg says in the same words that a connection never came up and that it broke."""
    assert meaning(lambda: with_asyncpg(getattr(doors, door)(), "select 1", timeout=0.3)) == expected


def test_an_unknown_host(monkeypatch, meaning):
    """A name that nobody knows has had nothing sent to it."""

    def nobody(*args, **kwargs):
        raise psycopg._conninfo_attempts.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)

    assert meaning(lambda: psycopg.connect("host=db.internal connect_timeout=2")) == RETRY


def test_a_connection_that_breaks(postgres, caught):
    """A session that was ended from outside may have done what it was asked; psycopg has no code for it then."""
    with psycopg.connect(address(postgres), autocommit=True) as connection:
        with psycopg.connect(address(postgres), autocommit=True) as killer:
            killer.execute("select pg_terminate_backend(%s, 2000)", [connection.info.backend_pid])
        first, second = (caught(lambda: connection.execute("select 1")) for _ in range(2))

    assert (first.sqlstate, classify(first).outcome.value) in {("57P01", "in_doubt"), (None, "in_doubt")}
    assert second.sqlstate is None
    assert classify(second).category == "retriable"


def test_a_full_pool(postgres, meaning):
    """No connection was free in time; nothing was sent."""

    def ask():
        with (
            psycopg_pool.ConnectionPool(address(postgres), min_size=1, max_size=1, timeout=5) as pool,
            pool.connection(),
        ):
            pool.getconn(timeout=0.05)

    assert meaning(ask) == BUSY


def test_a_full_pool_of_sqlalchemy(postgres, meaning):
    """The same for SQLAlchemy's own pool."""
    pool = engine(postgres, pool_size=1, max_overflow=0, pool_timeout=0.05)
    try:
        with pool.connect():
            assert meaning(pool.connect) == BUSY
    finally:
        pool.dispose()


def test_too_many_connections(postgres, meaning):
    """The server takes no further connection (53300), which psycopg learns while connecting."""
    with psycopg.connect(address(postgres), autocommit=True) as connection:
        connection.execute("drop role if exists narrow")
        connection.execute("create role narrow login connection limit 0")

    assert meaning(lambda: with_asyncpg(postgres, "", user="narrow")) == BUSY
    assert meaning(lambda: psycopg.connect(address(postgres, user="narrow"))) == RETRY


def test_misuse(postgres, meaning):
    """A call that the driver refuses by itself is the caller's mistake."""

    async def twice():
        connection = await asyncpg.connect(host="127.0.0.1", port=postgres, user="postgres", database="postgres")
        try:
            await asyncio.gather(connection.execute("select pg_sleep(0.2)"), connection.execute("select 1"))
        finally:
            connection.terminate()

    def closed():
        connection = psycopg.connect(address(postgres))
        connection.close()
        connection.execute("select %s", [1, 2])

    assert meaning(twice) == INPUT
    assert meaning(lambda: sqlalchemy.create_engine("nosuch://")) == INPUT
    assert meaning(lambda: sqlalchemy.select(1).where("x")) == INPUT
    assert meaning(closed) == RETRY_DOUBT
