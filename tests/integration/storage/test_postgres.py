"""What PostgreSQL is asked for, refuses and tells, and what its clients make of that."""

import os
import socket
import threading
import time
from contextlib import suppress

import pytest
from notebook import NOTES, add, ids

from outlast.errors import ConfigError, NotOursError, StorageBusyError, StorageError, StorageFullError
from outlast.storage import PostgresDatabase, _postgres_link
from outlast.storage._postgres_address import parse_address
from outlast.testing import Recorder


@pytest.mark.parametrize(("durability", "level"), [("power", "on"), ("process", "off")])
def test_durability_is_read_back(open_notes, postgres_server, schema, durability, level):
    """A commit waits for the server's disk or not, as was asked for."""
    notes = open_notes(postgres_server.address(schema=schema), durability=durability)

    assert notes.write(lambda db: db.execute("SHOW synchronous_commit").get).result() == level


def test_a_stronger_durability_is_left_alone(open_notes, postgres_server, schema):
    """Who has told the server to wait for its replicas too goes on doing so."""
    address = postgres_server.address(schema=schema, options="-csynchronous_commit%3Dremote_apply")

    notes = open_notes(address)

    assert notes.write(lambda db: db.execute("SHOW synchronous_commit").get).result() == "remote_apply"


def test_a_setting_that_does_not_take_is_refused(open_notes, postgres_server, schema, monkeypatch):
    """Settings are read back, so a server that cannot keep the promise is refused."""
    from outlast.storage import _postgres

    monkeypatch.setattr(_postgres, "_SETTINGS", "SET synchronous_commit TO local")

    with pytest.raises(StorageError, match="synchronous_commit=local, asked for on"):
        open_notes(postgres_server.address(schema=schema))


def test_a_schema_of_somebody_else_is_not_touched(open_notes, postgres_server, schema):
    """A schema that holds other tables is named and left alone."""
    postgres_server.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.theirs (id int)")

    with pytest.raises(NotOursError, match=f"the schema {schema} .* holds tables, but no notebook"):
        open_notes(postgres_server.address(schema=schema))

    assert postgres_server.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", schema) == [("theirs",)]


def test_a_schema_that_was_made_before_is_enough(open_notes, postgres_server, schema):
    """A role that may not make schemas is given one."""
    postgres_server.execute(f"CREATE ROLE {schema} LOGIN; CREATE SCHEMA {schema} AUTHORIZATION {schema}")
    address = postgres_server.address(schema=schema).replace("postgres@", f"{schema}@")

    notes = open_notes(address)
    notes.write(add(1)).result()

    with pytest.raises(StorageError, match="grant it"):
        open_notes(address.replace(f"schema={schema}", f"schema={schema}x"))


def test_an_old_server_is_refused(open_notes, postgres_server, schema, monkeypatch):
    """One that lacks what the order rests on is named, not tried."""
    monkeypatch.setattr(_postgres_link, "OLDEST", 990_000)

    with pytest.raises(StorageError, match="is the oldest that outlast works with"):
        open_notes(postgres_server.address(schema=schema))


def test_a_server_that_only_reads_fails_the_whole_group_at_once(notes):
    """Where no transaction can be begun, all who wait learn it, and the next one is tried again."""
    read_only = "SET default_transaction_read_only TO {}".format
    notes._main.connection().execute(read_only("on"))
    futures = [notes.write(add(number)) for number in range(3)]

    assert [type(future.exception()) for future in futures] == [StorageError] * 3
    notes._main.drop()
    notes.write(add(1)).result()


def test_a_role_that_may_write_again_writes_again(open_notes, postgres_server, schema):
    """A session that was begun while nobody might write is not kept for ever, as after a failover."""
    postgres_server.execute("CREATE ROLE halted SUPERUSER LOGIN")
    notes = open_notes(postgres_server.address(schema=schema).replace("postgres@", "halted@"))
    postgres_server.execute("ALTER ROLE halted SET default_transaction_read_only TO on")
    notes._main.drop()
    with pytest.raises(StorageError, match="one that writes"):
        notes.write(add(1)).result()

    postgres_server.execute("ALTER ROLE halted RESET ALL")
    notes.write(add(1)).result()
    assert notes.read(ids).result() == [1]


def test_a_job_that_goes_on_after_an_error_is_refused(notes):
    """A transaction that the server has given up is not taken for committed."""

    def job(db):
        with suppress(Exception):
            db.execute("SELECT * FROM nowhere")

    with pytest.raises(StorageError, match="a job went on after"):
        notes.write(job).result()


def test_a_commit_that_is_refused_is_told(notes):
    """What the server finds wrong only at the end is an error of that job alone."""
    notes.write(
        lambda db: db.execute("ALTER TABLE note ADD CONSTRAINT one UNIQUE (text) DEFERRABLE INITIALLY DEFERRED")
    ).result()
    notes.write(add(1)).result()

    with pytest.raises(StorageError, match="duplicate key"):
        notes.write(add(2)).result()

    notes.write(add(3, "y")).result()
    assert notes.read(ids).result() == [1, 3]


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        pytest.param("53100", StorageFullError, "disk is full", id="full"),
        pytest.param("53300", StorageBusyError, "nothing left to serve", id="exhausted"),
        pytest.param("53200", StorageBusyError, "queue less at once", id="memory"),
        pytest.param("54000", ConfigError, "longer than PostgreSQL can store", id="long"),
        pytest.param("25006", StorageError, "one that writes", id="read-only"),
        pytest.param("40P01", StorageBusyError, "was in the way", id="deadlock"),
        pytest.param("57014", StorageBusyError, "too long", id="cut"),
        pytest.param("XX001", StorageError, "damaged", id="damaged"),
        pytest.param("P0001", StorageError, "PostgreSQL refused", id="anything-else"),
    ],
)
def test_what_the_server_says_is_translated(notes, code, error, text):
    """Each error code becomes an error that names the database and says what to do."""
    job = f"DO $$ BEGIN RAISE 'detail' USING ERRCODE = '{code}'; END $$"

    with pytest.raises(error, match=f"{text}.*detail"):
        notes.write(lambda db: db.execute(job)).result()


def test_text_that_cannot_be_stored_is_the_callers_mistake(notes):
    """PostgreSQL has no zero character, and says so."""
    with pytest.raises(ConfigError, match="cannot store this text"):
        notes.write(add(1, "a\0b")).result()


def test_others_are_heard(notes, open_notes, postgres_server, schema):
    """A notification of another process calls the listener, one of its own does not; after the stop none does."""
    heard = threading.Semaphore(0)
    stop = notes.listen(heard.release)
    other = open_notes(postgres_server.address(schema=schema))

    def tell(database):
        database.write(
            lambda db: db.execute("SELECT pg_notify(?, ?)", (database.dialect.channel, database.sender))
        ).result()

    assert heard.acquire(timeout=10)  # for what was said before
    tell(other)
    assert heard.acquire(timeout=10)
    tell(notes)
    tell(other)
    assert heard.acquire(timeout=10)
    assert not heard.acquire(blocking=False)
    stop()
    stop()


def test_a_listener_outlives_its_connection(notes, postgres_server):
    """When its connection is cut it listens on another one, and calls for what it may have missed."""
    heard = threading.Semaphore(0)
    notes.listen(heard.release)
    assert heard.acquire(timeout=10)
    postgres_server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE %s",
        f'LISTEN "{notes.dialect.channel}"',
    )

    assert heard.acquire(timeout=10)


def test_a_listener_that_raises_is_not_called_again(notes, caplog):
    """Its mistake is logged and costs nobody else anything."""
    notes.listen(lambda: 1 / 0)
    until = time.monotonic() + 10
    while "has ended" not in caplog.text:
        assert time.monotonic() < until
        time.sleep(0.01)

    notes.write(add(1)).result()


ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE pid = ?"


def test_a_session_that_was_idle_for_too_long_is_made_anew(open_notes, postgres_server, schema, caplog):
    """A server that ends idle sessions keeps nobody from reading or writing, and whoever listens goes on hearing."""
    impatient = postgres_server.address(schema=schema, options="-c%20idle_session_timeout%3D100")
    notes, others = open_notes(impatient), open_notes(postgres_server.address(schema=schema))
    heard = threading.Semaphore(0)
    notes.listen(heard.release)
    for number in range(2):
        assert heard.acquire(timeout=50)
        (pid,) = notes.read(lambda db: db.execute("SELECT pg_backend_pid()").fetchone()).result()
        until = time.monotonic() + 50
        while others.read(lambda db, pid=pid: db.execute(ALIVE, (pid,)).get).result():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert notes.read(ids).result() == list(range(number))
        notes.write(add(number)).result()

    assert "has ended" not in caplog.text


def test_a_long_look_is_not_cut(open_notes, postgres_server, schema):
    """A server that cuts slow statements lets these run, for the same ones would be made again and cut again."""
    notes = open_notes(postgres_server.address(schema=schema, options="-c%20statement_timeout%3D50"))

    assert notes.read(lambda db: db.execute("SELECT 7 FROM pg_sleep(0.2)").get).result() == 7


def test_who_has_stopped_listening_is_forgotten(notes):
    """The deliveries of a long life leave nothing behind, and the last one looks as seldom as the first."""
    for _ in range(5):
        stop = notes.listen(lambda: None)
        stop()
        notes._listeners[-1].join()
    heard = threading.Event()
    notes.listen(heard.set)
    assert heard.wait(30)

    notes.moved()
    assert not notes.moved()
    assert len(notes._listeners) == 1


SECRET = "s3cr3t%2Fx"


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(f"postgresql://me:{SECRET}@h/db?nonsense={SECRET}", id="option"),
        pytest.param(f"postgresql://me:{SECRET}@h/db?schema", id="query"),
        pytest.param(f"postgresql://me:{SECRET}@[h/db", id="host"),
        pytest.param(f"postgresql://me:{SECRET}@h/db?schema=a%3Bdrop", id="schema"),
        pytest.param("postgresql://me:x@s3cr3t@h/db", id="at sign in it"),
        pytest.param("postgresql://me:x/s3cr3t@h/db", id="slash in it"),
        pytest.param("postgresql://me:s3cr3t#x@h/db", id="number sign in it"),
        pytest.param("postgresql://me:s3cr3t?x@h/db", id="question mark in it"),
    ],
)
def test_a_wrong_address_does_not_show_its_password(address):
    """The error says what is expected, and neither it nor its causes hold the secret."""
    with pytest.raises(ConfigError) as caught:
        parse_address(address)

    error = caught.value
    assert "s3cr3t" not in f"{error} {error!r} {error.__cause__} {error.metadata}"


def test_words_of_an_address_are_read_as_libpq_reads_them():
    """A space is written as %20 and stays one; a plus sign is no space, or a password with one would be another."""
    words = parse_address("postgresql://h/db?options=-c%20geqo%3Doff&schema=mine&password=a+b%2Bc").words

    assert (words["options"], words["password"]) == ("-c geqo=off", "a+b+c")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_the_encoding_of_the_database_does_not_matter(open_notes, postgres_server, encoding):
    """Texts are texts in each, and one that it has no sign for is the caller's mistake."""
    name = f"notes_{encoding.lower()}"
    postgres_server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    notes = open_notes(f"postgresql://postgres@127.0.0.1:{postgres_server.port}/{name}")
    notes.write(add(1, "h\N{DIAERESIS}")).result()

    assert notes.read(lambda db: db.execute("SELECT text FROM note").get).result() == "h\N{DIAERESIS}"
    if encoding == "LATIN1":
        with pytest.raises(ConfigError, match="cannot store this text"):
            notes.write(add(2, "\N{SNOWMAN}")).result()


def test_what_a_server_does_not_acknowledge_is_not_waited_for_long(notes):
    """The system ends a connection whose server is gone also while something is on its way to it, after a minute."""
    with socket.socket(fileno=os.dup(notes._main.connection().fileno())) as same:
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_the_password_is_used_and_never_shown(postgres_server, schema, open_notes):
    """Neither the name, nor an error, nor an event of an outbox holds it."""
    from outlast.errors import StorageError as Refused
    from outlast.events import EventBus
    from outlast.outbox import SyncOutbox

    address = postgres_server.address(schema=schema).replace("postgres@", f"postgres:{SECRET}@")
    bus = EventBus()
    seen = Recorder(bus)
    with SyncOutbox.open(address, bus=bus) as box:
        ticket = box.put("note", "n1", {})
        shown = [repr(ticket), box.core.name, repr(box.core.database._address), *map(repr, seen.events)]
    for wrong in (address.replace("/postgres?", "/nowhere?"), address.replace("postgres:", "nobody:")):
        with pytest.raises(Refused) as caught:
            PostgresDatabase(wrong, NOTES)
        shown += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]

    assert seen.events
    assert "s3cr3t" not in " ".join(shown)
    assert "s3cr3t/x" in open_notes(address)._address.words.values()


def test_who_listens_looks_now_and_then_only(notes):
    """While every commit is told, one looks after some seconds all the same; without a listener one always looks."""
    deaf = (notes.moved(), notes.moved())
    heard = threading.Event()
    notes.listen(heard.set)
    assert heard.wait(30), "it hears as soon as it is connected"

    notes.moved()
    assert deaf == (True, True)
    assert not notes.moved()
    notes._looked -= 60.0
    assert (notes.moved(), notes.moved()) == (True, False)
