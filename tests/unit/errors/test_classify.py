import asyncio
import concurrent.futures
import contextlib
import errno
import http.client
import logging
import queue
import socket
import sqlite3
import ssl
from pathlib import Path

import pytest

from outlast.errors import (
    UNKNOWN,
    Category,
    CircuitOpenError,
    Classification,
    Outcome,
    ServerError,
    classify,
    classify_status,
    register_rule,
    unregister_rule,
)

RETRIABLE, TRANSIENT, FATAL = Category.RETRIABLE, Category.TRANSIENT, Category.FATAL
INPUT, NOTHING_KNOWN = Category.INVALID_INPUT, Category.UNKNOWN
SAFE, DOUBT, DONE = Outcome.NOT_APPLIED, Outcome.IN_DOUBT, Outcome.APPLIED


def raised(body):
    """Return the exception that a function really raises."""
    try:
        body()
    except Exception as error:
        return error
    return pytest.fail("it did not raise")


def integrity_error():
    """Violate a constraint in SQLite."""
    database = sqlite3.connect(":memory:")
    try:
        database.execute("create table t (a unique)")
        database.execute("insert into t values (1), (1)")
    finally:
        database.close()


BIG = "insert into t values (zeroblob(99999))"


def worker_dies():
    """Use a pool whose worker cannot start."""

    def nothing():
        raise RuntimeError

    with concurrent.futures.ThreadPoolExecutor(1, initializer=nothing) as pool:
        logging.disable(logging.CRITICAL)
        try:
            pool.submit(len, "x").result()
        finally:
            logging.disable(logging.NOTSET)


def sqlite(*statements, limit=None):
    """Run statements in a database of their own."""

    def run():
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            if limit is not None:
                database.execute(f"pragma max_page_count = {limit}")
            for statement in statements:
                database.execute(statement)

    return raised(run)


@pytest.mark.parametrize(
    ("error", "category", "outcome"),
    [
        pytest.param(ConnectionRefusedError(), RETRIABLE, SAFE, id="refused"),
        pytest.param(ConnectionResetError(), RETRIABLE, DOUBT, id="reset"),
        pytest.param(BrokenPipeError(), RETRIABLE, DOUBT, id="pipe"),
        pytest.param(TimeoutError(), RETRIABLE, DOUBT, id="timeout"),
        pytest.param(raised(Path("/nowhere/x").read_bytes), INPUT, SAFE, id="no-file"),
        pytest.param(raised(Path("/").read_bytes), INPUT, SAFE, id="directory"),
        pytest.param(PermissionError(), FATAL, SAFE, id="permission"),
        pytest.param(OSError(errno.ENOSPC, "full"), TRANSIENT, SAFE, id="disk-full"),
        pytest.param(OSError(errno.EMFILE, "files"), TRANSIENT, SAFE, id="too-many-files"),
        pytest.param(OSError(errno.ENETUNREACH, "net"), RETRIABLE, SAFE, id="no-network"),
        pytest.param(OSError(errno.EIO, "io"), NOTHING_KNOWN, DOUBT, id="other-os-error"),
        pytest.param(OSError("no number"), NOTHING_KNOWN, DOUBT, id="os-error-without-number"),
        pytest.param(MemoryError(), TRANSIENT, DOUBT, id="memory"),
        pytest.param(NotImplementedError(), FATAL, SAFE, id="not-implemented"),
        pytest.param(EOFError(), RETRIABLE, DOUBT, id="eof"),
        pytest.param(asyncio.IncompleteReadError(b"", 1), RETRIABLE, DOUBT, id="incomplete-read"),
        pytest.param(socket.gaierror(), RETRIABLE, SAFE, id="name-lookup"),
        pytest.param(ssl.SSLCertVerificationError(), FATAL, SAFE, id="certificate"),
        pytest.param(ssl.SSLError(), RETRIABLE, DOUBT, id="tls"),
        pytest.param(http.client.RemoteDisconnected(), RETRIABLE, DOUBT, id="disconnected"),
        pytest.param(http.client.BadStatusLine("x"), RETRIABLE, DOUBT, id="bad-status-line"),
        pytest.param(sqlite3.OperationalError(), TRANSIENT, SAFE, id="sqlite-busy"),
        pytest.param(raised(integrity_error), INPUT, SAFE, id="sqlite-constraint"),
        pytest.param(sqlite3.DatabaseError(), FATAL, DOUBT, id="sqlite-corrupt"),
        pytest.param(sqlite("select * from nowhere"), INPUT, SAFE, id="sqlite-no-table"),
        pytest.param(sqlite("pragma query_only = 1", "create table t (a)"), FATAL, SAFE, id="sqlite-read-only"),
        pytest.param(
            sqlite("create table t (a)", "insert into t values (zeroblob(99999))", limit=3),
            TRANSIENT,
            SAFE,
            id="sqlite-full",
        ),
        pytest.param(raised(lambda: sqlite3.connect("/nowhere/x.db")), FATAL, SAFE, id="sqlite-cannot-open"),
        pytest.param(raised(queue.Queue(1).get_nowait), TRANSIENT, SAFE, id="queue-empty"),
        pytest.param(queue.Full(), TRANSIENT, SAFE, id="queue-full"),
        pytest.param(asyncio.QueueFull(), TRANSIENT, SAFE, id="async-queue-full"),
        pytest.param(raised(worker_dies), RETRIABLE, DOUBT, id="broken-pool"),
        pytest.param(ValueError(), NOTHING_KNOWN, DOUBT, id="value-error"),
        pytest.param(KeyError(), NOTHING_KNOWN, DOUBT, id="key-error"),
        pytest.param(RuntimeError(), NOTHING_KNOWN, DOUBT, id="runtime-error"),
    ],
)
def test_standard_library(error, category, outcome):
    """What the errors of the standard library mean."""
    found = classify(error)

    assert (found.category, found.outcome) == (category, outcome)


def test_own_errors_answer_for_themselves():
    """An error of outlast carries its own classification."""
    error = ServerError(status_code=502, retry_after=2.0)

    assert classify(error) == Classification(RETRIABLE, DOUBT, 502, 2.0)
    assert classify(CircuitOpenError(retry_after=1.0)).retryable


@pytest.mark.parametrize(
    ("status", "category", "outcome"),
    [
        (200, NOTHING_KNOWN, DONE),
        (204, NOTHING_KNOWN, DONE),
        (302, INPUT, SAFE),
        (400, INPUT, SAFE),
        (401, FATAL, SAFE),
        (403, FATAL, SAFE),
        (404, INPUT, SAFE),
        (408, RETRIABLE, SAFE),
        (409, INPUT, SAFE),
        (412, INPUT, SAFE),
        (422, INPUT, SAFE),
        (425, RETRIABLE, SAFE),
        (429, TRANSIENT, SAFE),
        (500, RETRIABLE, DOUBT),
        (501, FATAL, SAFE),
        (502, RETRIABLE, DOUBT),
        (503, TRANSIENT, SAFE),
        (504, RETRIABLE, DOUBT),
        (505, FATAL, SAFE),
        (529, TRANSIENT, SAFE),
        (599, RETRIABLE, DOUBT),
    ],
)
def test_statuses(status, category, outcome):
    """What each HTTP status means."""
    assert classify_status(status, 2.0) == Classification(category, outcome, status, 2.0)


class HouseError(Exception):
    """An error of somebody's own."""


class RoofError(HouseError):
    """One below it."""


@pytest.fixture
def rules():
    """Register rules and forget them afterwards."""
    names = []

    def register(name, rule):
        names.append(name)
        register_rule(HouseError.__module__.partition(".")[0], name, rule)

    yield register
    for name in names:
        unregister_rule(HouseError.__module__.partition(".")[0], name)


def test_registered_rule(rules):
    """A rule holds for its class and those below, until one of them has its own."""
    fatal = Classification(FATAL, SAFE)
    rules("HouseError", fatal)
    assert classify(RoofError()) == fatal

    rules("RoofError", lambda error: Classification(TRANSIENT, DOUBT, retry_after=float(str(error))))
    assert classify(RoofError("2.5")).retry_after == 2.5
    assert classify(HouseError()) == fatal


def test_forgotten_rule(rules):
    """Without its rule a class is unknown again; forgetting twice is fine."""
    unregister_rule("nobody", "NobodyError")

    assert classify(RoofError()) == UNKNOWN
