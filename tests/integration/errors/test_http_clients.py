"""The HTTP clients against ports on loopback that misbehave."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
import urllib.request

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outlast.errors import classify

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL = "invalid_input not_applied", "fatal not_applied"
DATED = {"Date": "Sun, 22 Nov 2026 10:00:00 GMT", "Retry_After": "Sun, 22 Nov 2026 10:00:09 GMT"}


def with_httpx2(url):
    """Get a page with httpx2."""
    with httpx2.Client(timeout=0.5, trust_env=False) as client:
        client.get(url).raise_for_status()


def with_httpx(url):
    """Get a page with httpx."""
    with httpx.Client(timeout=0.5, trust_env=False) as client:
        client.get(url).raise_for_status()


def with_requests(url):
    """Get a page with requests."""
    with requests.Session() as session:
        session.get(url, timeout=0.5).raise_for_status()


def with_urllib3(url):
    """Get a page with urllib3, which raises no statuses."""
    with urllib3.PoolManager(retries=False, timeout=0.5) as pool:
        pool.request("GET", url)


def with_urllib3_retries(url):
    """Get a page with urllib3's own retries, which wrap what happened."""
    with urllib3.PoolManager(retries=1, timeout=0.3) as pool:
        pool.request("GET", url)


async def with_aiohttp(url):
    """Get a page with aiohttp."""
    limit = aiohttp.ClientTimeout(sock_connect=0.5, sock_read=0.5)
    async with aiohttp.ClientSession(timeout=limit, raise_for_status=True) as client, client.get(url) as answer:
        await answer.read()


def with_urllib(url):
    """Get a page with the standard library."""
    urllib.request.urlopen(url, timeout=0.5).close()


EVERY = [with_httpx2, with_httpx, with_requests, with_urllib3, with_urllib3_retries, with_aiohttp, with_urllib]
WITH_STATUS = [with_httpx2, with_httpx, with_requests, with_aiohttp, with_urllib]
each = pytest.mark.parametrize("get", EVERY, ids=lambda get: get.__name__.removeprefix("with_"))
each_with_status = pytest.mark.parametrize("get", WITH_STATUS, ids=lambda get: get.__name__.removeprefix("with_"))


@each
@pytest.mark.parametrize(("door", "expected"), [("refused", RETRY), ("closing", RETRY_DOUBT), ("silent", RETRY_DOUBT)])
def test_no_answer(get, door, expected, doors, meaning):
    """Refused is safe; a server that hung up or kept silent may have acted."""
    port = getattr(doors, door)()

    assert meaning(lambda: get(f"http://127.0.0.1:{port}/")) == expected


@each
def test_no_connection_in_time(get, doors, meaning):
    """Nothing was sent over a connection that never came up; only urllib cannot tell."""
    port = doors.full()

    assert meaning(lambda: get(f"http://127.0.0.1:{port}/")) == (RETRY_DOUBT if get is with_urllib else RETRY)


@each
def test_what_is_no_http(get, doors, meaning):
    """A garbage answer is neither the caller's mistake nor health, whatever status a client makes of it."""
    port = doors.saying(b"SSH-2.0-nothing\r\n\r\n")

    assert meaning(lambda: get(f"http://127.0.0.1:{port}/")) == RETRY_DOUBT


@pytest.mark.parametrize("get", [get for get in EVERY if get is not with_urllib])  # which hands it over unread
def test_half_an_answer(get, doors, meaning, answer):
    """A body that breaks off leaves open what happened."""
    port = doors.saying(answer(200, b"{}").replace(b"Content-Length: 2", b"Content-Length: 200"))

    assert meaning(lambda: get(f"http://127.0.0.1:{port}/")) == RETRY_DOUBT


@each
def test_an_unknown_host(get, monkeypatch, meaning):
    """A name that nobody knows has had nothing sent to it."""

    def nobody(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)

    assert meaning(lambda: get("http://api.internal/")) == RETRY


@each_with_status
@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, INPUT), (401, FATAL), (429, BUSY), (503, BUSY), (500, RETRY_DOUBT)],
)
def test_statuses(get, status, expected, doors, meaning, answer):
    """A status means the same, whichever client raises it."""
    port = doors.saying(answer(status))

    assert meaning(lambda: get(f"http://127.0.0.1:{port}/")) == expected


@each_with_status
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"Retry_After": "7"}, 7.0, id="seconds"),
        pytest.param({"Retry_After": "1.5"}, 1.5, id="decimals"),
        pytest.param({"Retry_After_Ms": "250", "Retry_After": "9"}, 0.25, id="milliseconds"),
        pytest.param(DATED, 9.0, id="date-against-the-answers-own"),
        pytest.param({"Retry_After": DATED["Retry_After"]}, None, id="date-without-another"),
        pytest.param({}, None, id="none"),
    ],
)
def test_what_the_server_asks_to_wait(get, headers, seconds, doors, caught, answer):
    """The wait is read from the answer that the exception carries, in every form."""
    port = doors.saying(answer(429, **headers))

    found = classify(caught(lambda: get(f"http://127.0.0.1:{port}/")))

    assert (found.status_code, found.retry_after) == (429, seconds)


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory):
    """Speak TLS with a certificate that nobody has signed; give the port."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    today = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + dt.timedelta(days=36500))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=greet, args=(listener, context))
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def greet(listener, context):
    """Shake hands until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(2)
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()


TLS = [get for get in EVERY if get not in {with_httpx2, with_httpx}]


@pytest.mark.parametrize("get", TLS, ids=lambda get: get.__name__.removeprefix("with_"))
def test_an_unknown_certificate(get, unsigned, meaning):
    """No repetition makes a certificate valid."""
    assert meaning(lambda: get(f"https://127.0.0.1:{unsigned}/")) == FATAL


@pytest.mark.parametrize("get", TLS, ids=lambda get: get.__name__.removeprefix("with_"))
def test_no_tls_at_all(get, doors, meaning):
    """What answers TLS with something else may be a proxy that will be well again."""
    port = doors.saying(b"HTTP/1.1 400 Bad\r\n\r\n")

    assert meaning(lambda: get(f"https://127.0.0.1:{port}/")) == RETRY_DOUBT


@pytest.mark.parametrize(
    ("get", "url"),
    [
        (with_httpx2, "gopher://x/"),
        (with_httpx, "gopher://x/"),
        (with_requests, "gopher://x/"),
        (with_requests, "no-scheme"),
        (with_requests, "http://"),
        (with_urllib3, "gopher://x/"),
        (with_urllib3, "http://[::1/"),
        (with_aiohttp, "gopher://x/"),
        (with_aiohttp, "no-scheme"),
    ],
)
def test_an_address_that_is_none(get, url, meaning):
    """The call itself is wrong."""
    assert meaning(lambda: get(url)) == INPUT


@pytest.mark.parametrize("get", [with_httpx2, with_requests, with_aiohttp])
def test_a_circle_of_redirects(get, doors, meaning, answer):
    """A circle does not open by going round it again."""

    def client(url):
        if get is not with_httpx2:
            return get(url)
        with httpx2.Client(follow_redirects=True) as client:
            return client.get(url)

    port = doors.saying(answer(302, Location="/"))

    assert meaning(lambda: client(f"http://127.0.0.1:{port}/")) == INPUT


def test_a_body_that_is_no_json(doors, meaning, answer):
    """A garbage answer is unknown: it may come from a server that is ill."""
    port = doors.saying(answer(200, b"<html>"))

    assert meaning(lambda: requests.get(f"http://127.0.0.1:{port}/", timeout=1).json()) == "unknown in_doubt"


async def unlike_json(url):
    """Get a page that should be JSON."""
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        await answer.json()


def test_a_page_that_is_no_json(doors, meaning, answer):
    """Aiohttp tells by the type; the request itself was answered with 200, so it must not be sent again."""
    port = doors.saying(answer(200, b"<html>", kind="text/html"))

    assert meaning(lambda: unlike_json(f"http://127.0.0.1:{port}/")) == "unknown applied"


@pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)
def test_a_full_pool(module, doors, meaning):
    """No connection was free in time; nothing was sent."""
    url = f"http://127.0.0.1:{doors.silent()}/"

    async def crowd():
        limit = module.Timeout(0.4, pool=0.05)
        async with module.AsyncClient(timeout=limit, limits=module.Limits(max_connections=1)) as client:
            first = asyncio.create_task(client.get(url))
            await asyncio.sleep(0.05)
            try:
                await client.get(url)
            finally:
                first.cancel()
                await asyncio.wait([first])

    assert meaning(crowd) == BUSY


def test_pools_of_urllib3(meaning):
    """A pool without a free connection, and one that was closed."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", maxsize=1, block=True)
    pool._get_conn()

    assert meaning(lambda: pool._get_conn(timeout=0.01)) == BUSY
    pool.close()
    assert meaning(lambda: pool.request("GET", "/")) == INPUT


def test_a_body_that_cannot_be_sent_again(doors, meaning, answer):
    """A stream that was consumed cannot follow a redirect."""
    port = doors.saying(answer(307, Location="/"))

    def chunks():
        yield b"x"

    assert meaning(lambda: requests.post(f"http://127.0.0.1:{port}/", data=chunks(), timeout=1)) == INPUT


def test_limits_of_aiohttp(doors, meaning):
    """A limit on the whole call is the plain TimeoutError."""

    async def ask():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1)) as client:
            await client.get(f"http://127.0.0.1:{doors.silent()}/")

    assert meaning(ask) == RETRY_DOUBT
