"""What only a server can do to its clients: go away, come back, cut a commit, keep somebody waiting."""

import signal
import socket
import threading
import time
from contextlib import suppress

import pytest

from outlast.errors import (
    Category,
    ConfigError,
    InDoubtError,
    NotOursError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from outlast.storage import FileFormat, PostgresDatabase, _postgres_link
from outlast.storage._postgres_address import parse_address
from outlast.testing import Recorder

NOTES = FileFormat("notebook", 0x6E6F7465, 1, ("CREATE TABLE $note (id BIGINT PRIMARY KEY, text TEXT)",))


def add(number, text="x"):
    """Make a job that stores a note."""
    return lambda db: db.execute("INSERT INTO note VALUES (?, ?)", (number, text)).get


def ids(db):
    """Be a job that reads the ids."""
    return [row[0] for row in db.execute("SELECT id FROM note ORDER BY id")]


class Relay:
    """Stand between a client and the server, and cut their connection at the next COMMIT if told so."""

    def __init__(self, port):
        self.port = port
        self.cut = None
        self.closed = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets = []
        self.cuts = 0
        self.threads = [threading.Thread(target=self.welcome, daemon=True)]
        self.threads[0].start()

    def address(self, schema):
        """Return the address at which it stands."""
        return f"postgresql://postgres@127.0.0.1:{self.listener.getsockname()[1]}/postgres?schema={schema}"

    def welcome(self):
        """Take in clients for as long as it is open."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.closed:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.port))
                self.sockets += [client, server]
                muted = threading.Event()
                self.start(self.carry, client, server, muted)
                self.start(self.answer, server, client, muted)

    def start(self, work, *arguments):
        """Do work in a thread."""
        self.threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self.threads[-1].start()

    def carry(self, client, server, muted):
        """Carry what a client says until one side ends, or the cut comes."""
        with suppress(OSError):
            while data := client.recv(65536):
                if self.cut and b"COMMIT" in data:
                    self.strike(data, server, muted)
                    break
                server.sendall(data)
        self.hang_up(client, server)

    def answer(self, server, client, muted):
        """Carry what the server says, until it is cut off."""
        with suppress(OSError):
            while (data := server.recv(65536)) and not muted.is_set():
                client.sendall(data)
        muted.set()
        self.hang_up(client, server)

    def hang_up(self, *ends):
        """End both halves of a connection."""
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def strike(self, data, server, muted):
        """Let the commit reach the server or not, and the answer never reach the client."""
        how, self.cut = self.cut, None
        self.cuts += 1
        self.closed = how.startswith("for-good")
        muted.set()
        if how.endswith("after"):
            server.sendall(data)
            server.recv(1, socket.MSG_PEEK)  # the commit is done once it is answered

    def close(self):
        """End it."""
        for end in [self.listener, *self.sockets]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def schema(postgres_server):
    """A schema that does not exist yet."""
    return postgres_server.fresh().partition("schema=")[2]


@pytest.fixture
def relay(postgres_server):
    """A relay in front of the server."""
    relay = Relay(postgres_server.port)
    yield relay
    relay.close()


@pytest.fixture
def open_notes():
    """Open notebooks that are closed with the test."""
    opened = []

    def open_one(address, **options):
        opened.append(PostgresDatabase(address, NOTES, **options))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def notes(open_notes, postgres_server, schema):
    """An open notebook."""
    return open_notes(postgres_server.address(schema=schema))


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_that_was_not_heard_of_is_looked_up(relay, schema, open_notes, cut):
    """Whether the commit reached the server or not, each write is there once, and its caller is told the truth."""
    notes = open_notes(relay.address(schema))
    for number in range(3):
        relay.cut = cut
        assert notes.write(lambda db, number=number: (add(number)(db), number)[1]).result() == number

    assert relay.cuts == 3
    assert notes.read(ids).result() == [0, 1, 2]


@pytest.mark.parametrize("cut", ["for-good-before", "for-good-after"])
def test_a_commit_that_nobody_can_tell_of_is_in_doubt(relay, schema, open_notes, cut):
    """When the server stays away, the error says that the outcome is unknown, and what to do."""
    notes = open_notes(relay.address(schema))
    notes._main._patience = 0.2
    relay.cut = cut

    with pytest.raises(InDoubtError, match="has not come back to say if it took place") as caught:
        notes.write(add(1)).result()

    assert caught.value.outcome == "in_doubt"
    relay.closed = False
    assert notes.read(ids).result() == ([1] if cut.endswith("after") else [])
    notes.write(add(2)).result()


def test_what_was_cut_before_its_commit_is_run_again(postgres_server, notes):
    """A connection that is lost between two statements has changed nothing, so the job runs once more."""
    runs = []

    def job(db):
        runs.append(1)
        add(len(runs))(db)
        if len(runs) == 1:
            postgres_server.execute("SELECT pg_terminate_backend(%s, 5000)", db.execute("SELECT pg_backend_pid()").get)
        return db.execute("SELECT count(*) FROM note").get

    assert notes.write(job).result() == 1
    assert notes.read(ids).result() == [2]


def test_reads_find_their_way_back(postgres_server, notes):
    """A reader whose connection was cut asks again over a new one."""
    notes.write(add(1)).result()
    pid = notes.read(lambda db: db.execute("SELECT pg_backend_pid()").get).result()
    postgres_server.execute("SELECT pg_terminate_backend(%s, 5000)", pid)

    assert notes.read(ids).result() == [1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in-order", "dead"])
def test_a_server_that_comes_back_is_waited_for(own_server, open_notes, how):
    """What is written and read while the server restarts is done when it is back; locks are taken anew."""
    notes = open_notes(own_server.fresh())
    lock = notes.lock("x")
    assert lock.try_acquire()
    notes.write(add(1)).result()
    own_server.stop(how)
    futures = [notes.write(add(2)), notes.read(ids)]
    own_server.start()

    assert futures[0].result(30) is None
    assert futures[1].result(30) in ([1], [1, 2])
    assert lock.try_acquire()
    assert not notes.lock("x").try_acquire(), "it was taken for held, but it had gone with the server"
    assert notes.read(ids).result() == [1, 2]
    lock.release()


@pytest.mark.timeout(300)
def test_a_server_that_stays_away_is_told_clearly(own_server, open_notes):
    """Each call raises an error that says so, and that it may be tried again; afterwards everything works."""
    notes = open_notes(own_server.fresh())
    notes._main._patience = notes._reader._patience = 0.2
    lock = notes.lock("x")
    own_server.stop()
    futures = [notes.write(add(number)) for number in range(3)] + [notes.read(ids)]
    errors = [future.exception(30) for future in futures]
    with pytest.raises(StorageError, match="cannot be reached"):
        lock.try_acquire()
    with pytest.raises(StorageError, match="cannot be reached"):
        PostgresDatabase(own_server.fresh(), NOTES)
    own_server.start()
    notes.write(add(1)).result(30)

    assert {type(error) for error in errors} == {StorageError}
    assert all("cannot be reached" in str(error) and error.category is Category.RETRIABLE for error in errors)
    assert notes.read(ids).result() == [1]


@pytest.fixture(scope="module")
def own_server():
    """A server that may be stopped."""
    from postgres_server import PostgresServer

    with PostgresServer.running() as server:
        yield server


def test_closing_does_not_wait_for_a_server_that_is_away(relay, schema, open_notes):
    """What waits for the server is given up with an error."""
    notes = open_notes(relay.address(schema))
    relay.close()
    future = notes.write(add(1))
    notes.close()

    assert isinstance(future.exception(5), StorageError)


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


def test_a_lock_that_is_kept_too_long_is_told(notes, open_notes, postgres_server, schema):
    """Who waits for somebody else's transaction gives up after a while."""
    notes.write(add(1)).result()
    other = open_notes(postgres_server.address(schema=schema))
    other.write(lambda db: db.execute("SET lock_timeout TO 50")).result()
    begun, go = threading.Event(), threading.Event()
    holding = notes.write(lambda db: (db.execute("LOCK TABLE note"), begun.set(), go.wait(10)))
    assert begun.wait(10)

    with pytest.raises(StorageBusyError, match="kept it locked"):
        other.write(add(2)).result()
    go.set()
    holding.result()


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


SECRET = "s3cr3t%2Fx"


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(f"postgresql://me:{SECRET}@h/db?nonsense={SECRET}", id="option"),
        pytest.param(f"postgresql://me:{SECRET}@h/db?schema", id="query"),
        pytest.param(f"postgresql://me:{SECRET}@[h/db", id="host"),
        pytest.param(f"postgresql://me:{SECRET}@h/db?schema=a%3Bdrop", id="schema"),
    ],
)
def test_a_wrong_address_does_not_show_its_password(address):
    """The error says what is expected, and neither it nor its causes hold the secret."""
    with pytest.raises(ConfigError) as caught:
        parse_address(address)

    error = caught.value
    assert "s3cr3t" not in f"{error} {error!r} {error.__cause__} {error.metadata}"


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
