"""What the exceptions of httpx2 and apsw mean, the drivers of our own extras, as the real libraries raise them."""

import apsw
import httpx2
import pytest

from outlast.errors import Category, Outcome, classify

RETRIABLE, TRANSIENT, FATAL = Category.RETRIABLE, Category.TRANSIENT, Category.FATAL
INPUT, NOTHING_KNOWN = Category.INVALID_INPUT, Category.UNKNOWN
SAFE, DOUBT = Outcome.NOT_APPLIED, Outcome.IN_DOUBT


def caught(body):
    """Return the exception that a function really raises."""
    try:
        body()
    except Exception as error:
        return error
    return pytest.fail("it did not raise")


def answer(status, **headers):
    """Get the error that a client raises for an answer."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(status, headers=headers))
    with httpx2.Client(transport=transport) as client:
        return caught(client.get("http://host/").raise_for_status)


def breaks(error):
    """Get the error that a client raises when its transport does."""

    def handler(request):
        raise error("x", request=request)

    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client:
        return caught(lambda: client.get("http://host/"))


@pytest.mark.parametrize(
    ("error", "category", "outcome"),
    [
        pytest.param(breaks(httpx2.ConnectError), RETRIABLE, SAFE, id="connect"),
        pytest.param(breaks(httpx2.ConnectTimeout), RETRIABLE, SAFE, id="connect-timeout"),
        pytest.param(breaks(httpx2.PoolTimeout), TRANSIENT, SAFE, id="pool-timeout"),
        pytest.param(breaks(httpx2.ReadTimeout), RETRIABLE, DOUBT, id="read-timeout"),
        pytest.param(breaks(httpx2.WriteError), RETRIABLE, DOUBT, id="write"),
        pytest.param(breaks(httpx2.RemoteProtocolError), RETRIABLE, DOUBT, id="protocol"),
        pytest.param(breaks(httpx2.UnsupportedProtocol), INPUT, SAFE, id="scheme"),
        pytest.param(answer(404), INPUT, SAFE, id="404"),
        pytest.param(answer(503), TRANSIENT, SAFE, id="503"),
        pytest.param(answer(500), RETRIABLE, DOUBT, id="500"),
    ],
)
def test_http_client(error, category, outcome):
    """What the errors of the HTTP client mean."""
    found = classify(error)

    assert (found.category, found.outcome) == (category, outcome)


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry-after": "7"}, 7.0), ({"retry-after": "soon"}, None), ({}, None)], ids=repr
)
def test_status_and_retry_after_are_read(headers, seconds):
    """The status and a Retry-After in seconds come with the classification."""
    found = classify(answer(429, **headers))

    assert (found.status_code, found.retry_after) == (429, seconds)


def test_status_error_without_an_answer():
    """An error that lost its response is unknown, and classifying it does not raise."""
    error = answer(500)
    error.response = None

    assert classify(error).category is NOTHING_KNOWN


def constraint(path):
    """Violate a constraint."""
    database = apsw.Connection(str(path))
    database.execute("create table t (a unique)")
    database.execute("insert into t values (1), (1)")


def not_a_database(path):
    """Open something else."""
    path.write_bytes(b"x" * 4096)
    apsw.Connection(str(path)).execute("select * from sqlite_schema")


def locked(path):
    """Wait for nobody."""
    first, second = apsw.Connection(str(path)), apsw.Connection(str(path))
    first.execute("begin immediate")
    try:
        second.execute("begin immediate")
    finally:
        first.close()
        second.close()


def by_code(code):
    """Return the error that the driver makes for a result code, as it does for one that SQLite returns."""

    def body(path):
        raise apsw.exception_for(code)

    return body


def statement(text, *values):
    """Run one statement."""

    def body(path):
        apsw.Connection(str(path)).execute(text, values)

    return body


def closed(path):
    """Use a connection that is closed."""
    database = apsw.Connection(str(path))
    database.close()
    database.execute("select 1")


def read_only(path):
    """Write where that is not allowed."""
    apsw.Connection(str(path)).execute("create table t (a)")
    apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY).execute("insert into t values (1)")


def full(path):
    """Write more than fits."""
    database = apsw.Connection(str(path))
    for text in ("pragma max_page_count = 3", "create table t (a)", "insert into t values (zeroblob(99999))"):
        database.execute(text).fetchall()


@pytest.mark.parametrize(
    ("body", "category", "outcome"),
    [
        pytest.param(constraint, INPUT, SAFE, id="constraint"),
        pytest.param(not_a_database, FATAL, SAFE, id="not-a-database"),
        pytest.param(locked, TRANSIENT, SAFE, id="busy"),
        pytest.param(lambda path: apsw.Connection(str(path / "no" / "such")), FATAL, SAFE, id="cannot-open"),
        pytest.param(statement("select * from nowhere"), INPUT, SAFE, id="no-table"),
        pytest.param(statement("select ?"), INPUT, SAFE, id="bindings"),
        pytest.param(statement("select zeroblob(2000000000)"), INPUT, SAFE, id="too-big"),
        pytest.param(closed, INPUT, SAFE, id="closed"),
        pytest.param(read_only, FATAL, SAFE, id="read-only"),
        pytest.param(full, TRANSIENT, SAFE, id="full"),
        # These come from the driver's own factory: to have them for real takes a failing disk or memory.
        pytest.param(by_code(4), RETRIABLE, SAFE, id="abort"),
        pytest.param(by_code(6), TRANSIENT, SAFE, id="locked"),
        pytest.param(by_code(7), TRANSIENT, DOUBT, id="no-memory"),
        pytest.param(by_code(9), RETRIABLE, SAFE, id="interrupted"),
        pytest.param(by_code(10), RETRIABLE, DOUBT, id="io"),
        pytest.param(by_code(11), FATAL, DOUBT, id="corrupt"),
        pytest.param(by_code(20), INPUT, SAFE, id="mismatch"),
        pytest.param(by_code(21), INPUT, SAFE, id="misuse"),
        pytest.param(by_code(23), FATAL, SAFE, id="not-allowed"),
        pytest.param(by_code(25), INPUT, SAFE, id="range"),
    ],
)
def test_sqlite_driver(body, category, outcome, tmp_path):
    """What the errors of the SQLite driver mean."""
    found = classify(caught(lambda: body(tmp_path / "file.db")))

    assert (found.category, found.outcome) == (category, outcome)
