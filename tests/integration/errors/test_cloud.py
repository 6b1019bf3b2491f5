"""botocore against answers on loopback, and gRPC against a real gRPC server."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import grpc
import pytest
from botocore.config import Config

from outlast.errors import classify

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL, UNKNOWN = "invalid_input not_applied", "fatal not_applied", "unknown in_doubt"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Keep the machine's own settings out."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


def buckets(port, scheme="http", **options):
    """Ask for the buckets once."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=0.3, read_timeout=0.3, **options)
    client = botocore.session.Session().create_client(
        "s3", "eu-west-1", endpoint_url=f"{scheme}://127.0.0.1:{port}", config=config,
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip
    try:
        return client.list_buckets()
    finally:
        client.close()


@pytest.mark.parametrize(
    ("door", "expected"), [("refused", RETRY), ("full", RETRY), ("closing", RETRY_DOUBT), ("silent", RETRY_DOUBT)]
)
def test_no_answer_of_aws(door, expected, doors, meaning):
    """Refused is safe; a server that hung up or kept silent may have acted."""
    assert meaning(lambda: buckets(getattr(doors, door)())) == expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", BUSY),
        (400, "Throttling", BUSY),
        (400, "ThrottlingException", BUSY),
        (400, "ProvisionedThroughputExceededException", BUSY),
        (503, "ServiceUnavailable", BUSY),
        (429, "TooManyRequestsException", BUSY),
        (403, "AccessDenied", FATAL),
        (400, "ExpiredToken", FATAL),
        (400, "UnrecognizedClientException", FATAL),
        (400, "RequestTimeout", RETRY),
        (404, "NoSuchBucket", INPUT),
        (400, "InvalidArgument", INPUT),
        (500, "InternalError", RETRY_DOUBT),
    ],
)
def test_what_aws_answers(status, code, expected, doors, meaning, answer):
    """The code of the error decides, and where it is of no use the status does."""
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    port = doors.saying(answer(status, body, kind="application/xml"))

    assert meaning(lambda: buckets(port)) == expected


def test_what_aws_asks_to_wait(doors, caught, answer):
    """The wait is read from the answer."""
    body = b"<Error><Code>SlowDown</Code><Message>m</Message></Error>"
    port = doors.saying(answer(503, body, kind="application/xml", Retry_After="3"))

    found = classify(caught(lambda: buckets(port)))

    assert (found.status_code, found.retry_after) == (503, 3.0)


def test_no_tls(doors, meaning):
    """Something in between that speaks no TLS may be gone soon."""
    assert meaning(lambda: buckets(doors.saying(b"HTTP/1.1 400 Bad\r\n\r\n"), "https")) == RETRY_DOUBT


def test_a_proxy_that_is_away(doors, meaning):
    """Nothing came further than the proxy."""
    away = f"http://127.0.0.1:{doors.refused()}"

    assert meaning(lambda: buckets(doors.silent(), proxies={"http": away})) == RETRY


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        pytest.param(lambda session: session.create_client("s3", "x").list_buckets(), FATAL, id="no-credentials"),
        pytest.param(lambda session: session.create_client("sqs"), FATAL, id="no-region"),
        pytest.param(
            lambda session: session.create_client("s3", "x", aws_access_key_id="a"), FATAL, id="half-credentials"
        ),
        pytest.param(lambda session: session.create_client("nosuch", "x"), INPUT, id="no-such-service"),
        pytest.param(
            lambda session: session.create_client(
                "s3", "x", aws_access_key_id="a", aws_secret_access_key="b"
            ).get_object(),
            INPUT,
            id="missing-parameter",
        ),
    ],
)
def test_what_botocore_refuses(ask, expected, meaning):
    """Settings and parameters that are wrong stay wrong; none of these sends anything."""
    assert meaning(lambda: ask(botocore.session.Session())) == expected


class Failing(grpc.GenericRpcHandler):
    """Answer every call with the status that its method names."""

    def service(self, details):
        code = getattr(grpc.StatusCode, details.method.rpartition("/")[2])

        def handle(request, context):
            if request:
                context.set_trailing_metadata((("other", "1"), ("grpc-retry-pushback-ms", request.decode())))
            context.abort(code, "as told")

        return grpc.unary_unary_rpc_method_handler(handle)


@pytest.fixture(scope="module")
def failing():
    """Serve gRPC; give the port."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Failing(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield port
        server.stop(0).wait()


def in_threads(port, code, request=b"", limit=5.0):
    """Call in the sync colour."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary(f"/x/{code}")(request, timeout=limit)


async def in_tasks(port, code, request=b"", limit=5.0):
    """Call in the async colour."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary(f"/x/{code}")(request, timeout=limit)


colours = pytest.mark.parametrize("run", [in_threads, in_tasks], ids=["sync", "async"])


@colours
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("CANCELLED", UNKNOWN),
        ("UNKNOWN", UNKNOWN),
        ("INVALID_ARGUMENT", INPUT),
        ("DEADLINE_EXCEEDED", RETRY_DOUBT),
        ("NOT_FOUND", INPUT),
        ("ALREADY_EXISTS", INPUT),
        ("PERMISSION_DENIED", FATAL),
        ("RESOURCE_EXHAUSTED", BUSY),
        ("FAILED_PRECONDITION", INPUT),
        ("ABORTED", RETRY),
        ("OUT_OF_RANGE", INPUT),
        ("UNIMPLEMENTED", FATAL),
        ("INTERNAL", RETRY_DOUBT),
        ("UNAVAILABLE", RETRY_DOUBT),
        ("DATA_LOSS", "fatal in_doubt"),
        ("UNAUTHENTICATED", FATAL),
    ],
)
def test_grpc_statuses(run, code, expected, failing, meaning):
    """Each status means one thing, from both of gRPC's faces."""
    assert meaning(lambda: run(failing, code)) == expected


@colours
@pytest.mark.parametrize(("said", "seconds"), [(b"1500", 1.5), (b"-1", None), (b"", None)])
def test_pushback(run, said, seconds, failing, caught):
    """The server says in the trailers how long to wait."""
    assert classify(caught(lambda: run(failing, "UNAVAILABLE", said))).retry_after == seconds


@colours
@pytest.mark.parametrize(("door", "expected"), [("refused", RETRY), ("silent", RETRY_DOUBT)])
def test_no_answer_of_grpc(run, door, expected, doors, meaning):
    """A channel that never came up has sent nothing; a limit that ran out leaves it open."""
    port = getattr(doors, door)()

    assert meaning(lambda: run(port, "UNKNOWN", limit=0.5)) == expected


def test_a_channel_that_does_not_get_ready(doors, meaning):
    """Nothing was sent while waiting for the channel."""

    def ask():
        with grpc.insecure_channel(f"127.0.0.1:{doors.refused()}") as channel:
            grpc.channel_ready_future(channel).result(timeout=0.1)

    assert meaning(ask) == RETRY


def test_an_error_without_a_code(meaning):
    """GRPC raises its bare class in places; nothing is known then."""

    def ask():
        raise grpc.RpcError

    assert meaning(ask) == UNKNOWN


def test_a_limit_of_the_caller(failing, meaning):
    """Asyncio's own limit is no error of gRPC."""

    async def ask():
        async with asyncio.timeout(0.0):
            await in_tasks(failing, "ABORTED")

    assert meaning(ask) == RETRY_DOUBT
