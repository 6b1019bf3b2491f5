"""A server that goes away, comes back, or cuts a commit, loses nothing and leaves nobody in the dark."""

import signal
import socket
import threading
from contextlib import suppress

import pytest
from notebook import NOTES, add, ids

from outlast.errors import Category, InDoubtError, StorageError
from outlast.storage import PostgresDatabase


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
def relay(postgres_server):
    """A relay in front of the server."""
    relay = Relay(postgres_server.port)
    yield relay
    relay.close()


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
