"""Named points in the work of a process, at which it kills or stops itself, and what it was doing when it was killed.

The points come from what anybody can hook: the statements and the commits of the drivers, a VFS of apsw, the trace of
the HTTP client, the events of the bus, `before_settle`, and the transport. The package is not changed for it.
"""

import asyncio
import mmap
import os
import signal
import threading
import time

import apsw

# What a transaction is called by the table that it writes; the later one wins.
MARKS = (
    ("INSERT INTO op (lane", "enqueue"),
    ("UPDATE meta SET value", "decide"),
    ("INSERT INTO seal", "claim"),
    ("UPDATE seal SET attempts", "claim"),
    ("INSERT INTO receipt", "settle"),
    ("UPDATE seal SET due", "settle"),
    ("INSERT INTO parked", "settle"),
    ("INSERT INTO lease", "takeover"),
    ("UPDATE lease SET beat", "beat"),
    ("UPDATE lease SET holder", "release"),
)
KINDS = ("enqueue", "decide", "claim", "settle", "takeover", "beat", "release", "layout")
COMMITS = tuple(f"{kind}:{moment}" for kind in KINDS for moment in ("before-commit", "in-commit", "committed"))
HTTP = {
    "http11.send_request_headers.complete": "http:first-byte",
    "http11.send_request_body.complete": "http:all-sent",
    "http11.receive_response_headers.complete": "http:answer-begun",
    "http11.receive_response_body.complete": "http:answered",
}
POINTS = ("idle", "claim:sealing", "sent:nothing-yet", *HTTP.values(), "settle:decided", "settle:told",
          "checkpoint:writing", "enqueue:acknowledged", *COMMITS)  # fmt: skip
RUNNER = ("takeover:before-commit", "takeover:in-commit", "takeover:committed", "claim:sealing", "claim:before-commit",
          "claim:in-commit", "claim:committed", "sent:nothing-yet", *HTTP.values(), *HTTP.values(), "settle:decided",
          "settle:before-commit", "settle:in-commit", "settle:committed", "settle:told",
          "checkpoint:writing")  # fmt: skip
PRODUCER = (*("enqueue:before-commit", "enqueue:in-commit", "enqueue:committed", "enqueue:acknowledged") * 2,
            "decide:before-commit", "decide:in-commit", "decide:committed", "checkpoint:writing")  # fmt: skip
ZOMBIE = ("http:first-byte", "http:all-sent", "http:answered", "settle:decided", "sent:nothing-yet", "settle:told")
CHECKPOINT_PAGES = 60  # so that checkpoints are frequent enough to be hit
RARE = ("takeover", "decide", "checkpoint")  # passed once or twice in a life
FIELDS = ("point", "flying", "writing", "leased", "ready")


class Board:
    """A few numbers that outlive the process which writes them."""

    def __init__(self):
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("i")

    def __getitem__(self, field):
        return self._numbers[FIELDS.index(field)]

    def __setitem__(self, field, value):
        self._numbers[FIELDS.index(field)] = value

    @property
    def point(self):
        return POINTS[self["point"]]

    @property
    def busy(self):
        """Tell whether it was in the middle of work: a request in flight, or a transaction begun."""
        return bool(self["flying"] or self["writing"])


class Watch:
    """Know where a process is, and end or stop it at the chosen point.

    Args:
        board: Where it is told.
        point: At which point to act, or None.
        hit: At which passage, from 1.
        act: The signal to send to itself.
    """

    def __init__(self, board, point=None, hit=1, act=signal.SIGKILL):
        self.board, self.point, self.hit, self.act = board, point, hit, act
        self.kind = "layout"
        self.flying = set()
        self.writer = 0  # the thread that writes; what others say is not about its transaction

    def at(self, point):
        self.board["point"] = POINTS.index(point)
        if point != self.point:
            return
        self.hit -= 1
        if self.hit == 0:
            os.kill(os.getpid(), self.act)

    # requests

    def takes_off(self):
        task = asyncio.current_task()
        if task not in self.flying:
            self.flying.add(task)
            task.add_done_callback(self.landed)  # also where nothing is told, as of a merge or of what was cut off
        self.board["flying"] = len(self.flying)

    def lands(self):
        self.landed(asyncio.current_task())

    def landed(self, task):
        self.flying.discard(task)
        self.board["flying"] = len(self.flying)

    async def trace(self, name, _info):
        if point := HTTP.get(name):
            if point == "http:first-byte":
                self.takes_off()
            self.at(point)

    async def prepare(self, request):
        """Ask the HTTP client to tell what it does; a hook of its requests."""
        request.extensions = {**request.extensions, "trace": self.trace}

    # transactions

    def says(self, statement):
        """Note a statement before it runs, whatever the store."""
        if statement.startswith(("BEGIN IMMEDIATE", "BEGIN;")):
            self.kind, self.writer, self.board["writing"] = "layout", threading.get_ident(), 1
        if self.writer != threading.get_ident():
            return
        self.kind = next((kind for mark, kind in MARKS if statement.startswith(mark)), self.kind)
        if statement == "COMMIT":
            self.at(f"{self.kind}:before-commit")
        elif statement == "ROLLBACK":
            self.board["writing"] = 0

    def done(self):
        """Note that the store has committed, before anybody is told."""
        self.at(f"{self.kind}:committed")
        self.board["writing"] = 0


class WatchedFile(apsw.VFSFile):
    """Pass everything on to the disk, and note what is written."""

    def __init__(self, watch, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self.watch, self.log, self.main = watch, path.endswith("-wal"), path.endswith(".db")
        super().__init__("unix", name, flags)

    def xLock(self, level):  # noqa: N802 - SQLite's name
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # Closing a file that was opened for reading asks for a lock that it cannot have, which SQLite expects
            # and apsw would raise; busy is the one answer that it passes on.
            raise apsw.BusyError from error

    def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        if self.log and offset > 0 and self.watch.board["writing"]:
            self.watch.at(f"{self.watch.kind}:in-commit")  # a part of it is written, nothing of it is synced
        elif self.main:
            self.watch.at("checkpoint:writing")

    def xSync(self, flags):  # noqa: N802 - SQLite's name
        super().xSync(flags)
        if self.log and self.watch.board["writing"]:
            self.watch.done()


class WatchedFiles(apsw.VFS):
    """Open files that are watched."""

    def __init__(self, watch):
        self.watch = watch
        super().__init__("torture", "unix", makedefault=True)

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return WatchedFile(self.watch, name, flags)


def watch_sqlite(watch):
    """Follow what SQLite does, down to the single writes of a commit; keep what is returned."""

    def told(_cursor, statement, _bindings):
        watch.says(statement)
        return True

    def opened(connection):
        connection.exec_trace = told

    apsw.connection_hooks.append(opened)
    return WatchedFiles(watch)


def watch_postgres(watch):
    """Follow what the driver sends to PostgreSQL."""
    import psycopg

    plain = psycopg.Connection.execute

    def execute(connection, query, params=None, **options):
        text = query.replace(schema_of(query), "") if isinstance(query, str) else ""
        watch.says(text)
        if text != "COMMIT":
            return plain(connection, query, params, **options)
        if watch.point == f"{watch.kind}:in-commit" and watch.hit == 1:
            connection.pgconn.send_query(b"COMMIT")  # it is on its way, and nobody hears what became of it
            connection.pgconn.flush()
            watch.at(watch.point)
        elif watch.point == f"{watch.kind}:in-commit":
            watch.at(watch.point)
        result = plain(connection, query, params, **options)
        watch.done()
        return result

    psycopg.Connection.execute = execute


def schema_of(statement):
    """Return the schema that a statement names first, with its dot."""
    begin = statement.find('"')
    end = statement.find('".', begin + 1)
    return statement[begin : end + 2] if 0 <= begin < end else "\0"


def wait_until(condition, seconds):
    """Wait for what another process does; tell whether it came."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True
