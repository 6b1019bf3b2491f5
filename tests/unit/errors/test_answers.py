"""What statuses and codes mean that come without an exception."""

import urllib.error

import pytest

from outlast.errors import (
    AuthenticationError,
    BadRequestError,
    Category,
    Classification,
    Outcome,
    OverloadedError,
    RateLimitError,
    ServerError,
    classify,
    classify_etcd,
    classify_grpc,
    classify_sqlstate,
    classify_status,
    parse_retry_after,
    remote_error,
)

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL, UNKNOWN = "invalid_input not_applied", "fatal not_applied", "unknown in_doubt"


def words(found):
    """Return a classification as two words."""
    return f"{found.category} {found.outcome}"


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        pytest.param(b'{"error":"etcdserver: requested lease not found","code":5}', 404, INPUT, id="no-lease"),
        pytest.param(
            b'{"code":11,"message":"etcdserver: mvcc: required revision has been compacted"}', 400, INPUT,
            id="compacted",
        ),
        pytest.param(b'{"error":"context deadline exceeded","code":2}', 500, RETRY_DOUBT, id="no-quorum"),
        pytest.param(b'{"error":"context deadline exceeded","code":4}', 504, RETRY_DOUBT, id="too-slow"),
        pytest.param(b'{"error":"etcdserver: leader changed","code":14}', 503, RETRY_DOUBT, id="leader-changed"),
        pytest.param(b'{"error":"etcdserver: no leader","code":14}', 503, RETRY_DOUBT, id="no-leader"),
        pytest.param(
            b'{"error":"etcdserver: request timed out, possibly due to connection lost","code":14}', 503, RETRY_DOUBT,
            id="connection-lost",
        ),
        pytest.param(b'{"error":"etcdserver: mvcc: database space exceeded","code":8}', 429, BUSY, id="no-space"),
        pytest.param(b'{"error":"etcdserver: too many requests","code":8}', 429, BUSY, id="too-many"),
        pytest.param(
            b'{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}', 400, FATAL,
            id="password",
        ),
        pytest.param(b'{"error":"etcdserver: user name is empty","code":3}', 400, FATAL, id="no-user"),
        pytest.param(b'{"error":"etcdserver: permission denied","code":7}', 403, FATAL, id="permission"),
        pytest.param(b'{"error":"etcdserver: invalid auth token","code":16}', 401, FATAL, id="token"),
        pytest.param(b'{"error":"etcdserver: duplicate key given in txn request","code":3}', 400, INPUT, id="wrong"),
        pytest.param(b'{"error":"etcdserver: corrupt cluster","code":15}', 500, "fatal in_doubt", id="corrupt"),
        pytest.param(
            b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}', 200, RETRY_DOUBT,
            id="inside-a-watch",
        ),
        pytest.param({"error": "etcdserver: requested lease not found", "code": 5}, 404, INPUT, id="parsed"),
        pytest.param(b"<html>bad gateway</html>", 502, RETRY_DOUBT, id="a-proxys-page"),
        pytest.param(b'{"error":"x","code":"5"}', 503, BUSY, id="code-is-no-number"),
        pytest.param(b'{"error":"x","code":99}', 503, BUSY, id="unheard-of-code"),
        pytest.param(b"[1]", 500, RETRY_DOUBT, id="a-list"),
        pytest.param(b'{"a":' * 50_000, 500, RETRY_DOUBT, id="nested-too-deeply"),
    ],
)  # fmt: skip
def test_etcd(body, status, expected):
    """What etcd's gateway answers; every loss of the leader leaves the write in doubt.

    The bodies with codes 3, 5, 7, 8, 11 and 16 are those of a real etcd 3.5; the others are from its sources.
    """
    assert words(classify_etcd(body, status)) == expected


def test_etcd_keeps_the_status():
    """The status of the answer comes with the classification."""
    assert classify_etcd(b'{"code":5}', 404).status_code == 404


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", RETRY),
        ("UNAVAILABLE", "Socket closed", RETRY_DOUBT),
        ("ABORTED", "", RETRY),
        ("", "", UNKNOWN),
        ("NEW_ONE", "", UNKNOWN),
    ],
)
def test_grpc(code, details, expected):
    """What gRPC's statuses mean by their names."""
    assert words(classify_grpc(code, details)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("57P03", BUSY), ("57P01", RETRY_DOUBT), ("57014", RETRY), ("57999", RETRY_DOUBT), ("40001", RETRY),
        ("40P01", RETRY), ("40003", RETRY_DOUBT), ("53300", BUSY), ("53100", BUSY), ("08001", RETRY), ("08004", RETRY),
        ("08006", RETRY_DOUBT), ("08007", RETRY_DOUBT), ("23505", INPUT), ("22P02", INPUT), ("42601", INPUT),
        ("42501", FATAL), ("28P01", FATAL), ("3D000", INPUT), ("25006", RETRY), ("25001", INPUT), ("55P03", BUSY),
        ("XX001", "fatal in_doubt"), ("XX000", UNKNOWN), ("", UNKNOWN),
    ],
)  # fmt: skip
def test_sqlstate(code, expected):
    """A code of its own goes before its class."""
    assert words(classify_sqlstate(code)) == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, BadRequestError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, BadRequestError),
        (408, ServerError),
        (425, ServerError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (529, OverloadedError),
    ],
)
def test_the_error_for_a_status(status, kind):
    """The class says what a caller can do; its fields are those of the status."""
    error = remote_error(status, retry_after=2.0, request_id="r-1")

    assert type(error) is kind
    assert classify(error) == classify_status(status, 2.0)
    assert (str(error), error.request_id) == (f"the server answered {status}", "r-1")


def test_what_is_known_better_wins():
    """A caller that knows what became of the effect says so."""
    error = remote_error(500, "PUT /a failed", outcome=Outcome.APPLIED, category=Category.FATAL)

    assert (str(error), error.outcome, error.category) == ("PUT /a failed", Outcome.APPLIED, Category.FATAL)


def test_a_date_needs_another_date_or_a_clock():
    """No clock is read: without the answer's Date or the present time, a date says nothing."""
    headers = {"retry-after": "Sun, 22 Nov 2026 10:00:09 GMT"}

    assert parse_retry_after(headers) is None
    assert parse_retry_after(headers, wall=1795341600.0) == 9.0


def test_a_wrapper_without_a_cause():
    """An error that wraps no other is judged by its own kind."""
    assert classify(urllib.error.URLError("unknown url type")) == Classification(Category.RETRIABLE, Outcome.IN_DOUBT)
