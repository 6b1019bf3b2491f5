from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest

from outlast.engines.op import Applied, AuthNeeded, Found, InDoubt, Missing, NotApplied, Rejected, Unreadable, Verb
from outlast.errors import ConfigError
from outlast.outbox import Op, SealedRequest
from outlast.sync_engine import HttpBatch, HttpTransport

BASE = "https://api.example.org/v1/"


def op(**changes):
    """Make an op as the outbox gives it to a transport."""
    plain = Op(
        seq=7,
        generation=0,
        key="store.1:7:0",
        lane=1,
        verb=Verb.PUT,
        kind="note",
        entity="n1",
        target=None,
        body=b"{}",
        content_type="application/json",
        if_match=None,
        created_at=0.0,
    )
    return plain._replace(**changes)


class Server:
    """Be a client of httpx2 that answers by itself, or fails as told."""

    def __init__(self, result=None):
        self.result = result or httpx2.Response(204)
        self.seen = []

    @contextlib.asynccontextmanager
    async def stream(self, method, url, *, headers, content, follow_redirects):
        assert not follow_redirects
        self.seen.append((method, url, headers, content))
        if isinstance(self.result, Exception):
            raise self.result
        yield self.result

    async def aclose(self):
        raise AssertionError("a client that was brought is not closed")


@pytest.mark.parametrize(
    ("changes", "method", "url", "headers", "body"),
    [
        pytest.param(
            {"verb": Verb.CREATE},
            "PUT",
            "note/n1",
            {"Content-Type": "application/json", "Idempotency-Key": "store.1:7:0", "If-None-Match": "*"},
            b"{}",
            id="create-never-overwrites",
        ),
        pytest.param(
            {"verb": Verb.PUT, "if_match": '"3"'},
            "PUT",
            "note/n1",
            {"Content-Type": "application/json", "Idempotency-Key": "store.1:7:0", "If-Match": '"3"'},
            b"{}",
            id="put-of-a-version",
        ),
        pytest.param(
            {"verb": Verb.PATCH},
            "PATCH",
            "note/n1",
            {"Content-Type": "application/merge-patch+json", "Idempotency-Key": "store.1:7:0"},
            b"{}",
            id="patch-is-a-merge-patch",
        ),
        pytest.param(
            {"verb": Verb.PATCH, "content_type": "application/json-patch+json"},
            "PATCH",
            "note/n1",
            {"Content-Type": "application/json-patch+json", "Idempotency-Key": "store.1:7:0"},
            b"{}",
            id="another-patch",
        ),
        pytest.param(
            {"verb": Verb.DELETE, "body": None, "if_match": '"3"'},
            "DELETE",
            "note/n1",
            {"Idempotency-Key": "store.1:7:0", "If-Match": '"3"'},
            None,
            id="delete",
        ),
        pytest.param(
            {"verb": Verb.POST, "content_type": "text/plain", "body": b"hi"},
            "POST",
            "note",
            {"Content-Type": "text/plain", "Idempotency-Key": "store.1:7:0"},
            b"hi",
            id="post-to-the-collection",
        ),
    ],
)
def test_a_sealed_request(changes, method, url, headers, body):
    """Each verb becomes one request, with its key and its precondition."""
    sealed = HttpTransport(BASE, client=Server()).seal(op(**changes))

    assert sealed == SealedRequest(method=method, url=BASE + url, headers=tuple(sealed.headers), body=body)
    assert dict(sealed.headers) == headers


def test_a_server_that_knows_no_keys_gets_none():
    """Without an idempotency header the request has none."""
    sealed = HttpTransport(BASE, client=Server(), idempotency_header=None).seal(op())

    assert sealed.headers == (("Content-Type", "application/json"),)


def test_a_post_that_could_be_doubled_is_refused():
    """Without a key a POST whose answer is lost could only be guessed about, so it needs the author's word."""
    post = op(verb=Verb.POST)

    with pytest.raises(ConfigError, match="at_least_once"):
        HttpTransport(BASE, client=Server(), idempotency_header=None).seal(post)
    sealed = HttpTransport(BASE, client=Server(), idempotency_header=None, at_least_once=True).seal(post)

    assert sealed.method == "POST"


@pytest.mark.parametrize(
    ("entity", "path"),
    [
        pytest.param("a/b", "note/a%2Fb", id="slash"),
        pytest.param("a b", "note/a%20b", id="space"),
        pytest.param("é漢", "note/%C3%A9%E6%BC%A2", id="unicode"),
        pytest.param("../secret", "note/..%2Fsecret", id="climbing"),
        pytest.param("a?b#c", "note/a%3Fb%23c", id="query-and-fragment"),
        pytest.param("http://evil", "note/http%3A%2F%2Fevil", id="an-address"),
        pytest.param("{kind}", "note/%7Bkind%7D", id="braces"),
        pytest.param("100%", "note/100%25", id="percent"),
        pytest.param("...", "note/...", id="three-dots-are-a-name"),
        pytest.param("a\nb", "note/a%0Ab", id="newline"),
    ],
)
def test_odd_ids_stay_one_part_of_the_path(entity, path):
    """Whatever an id holds, it names one entity below its kind."""
    assert HttpTransport(BASE, client=Server()).url_of(op(entity=entity)) == BASE + path


@pytest.mark.parametrize("changes", [{"entity": ".."}, {"entity": "."}, {"kind": ".."}], ids=str)
def test_dots_are_refused_as_a_name(changes):
    """A write to `..` would hit the collection above, so it is refused before anything is sent."""
    with pytest.raises(ConfigError, match="cannot be a part of an address"):
        HttpTransport(BASE, client=Server()).url_of(op(**changes))


@pytest.mark.parametrize(
    ("target", "url"),
    [
        pytest.param("notes/9", BASE + "notes/9", id="relative"),
        pytest.param("/other/9", "https://api.example.org/other/9", id="from-the-root"),
        pytest.param("https://API.example.org:443/x", "https://API.example.org:443/x", id="absolute-same-server"),
        pytest.param("notes?id=9", BASE + "notes?id=9", id="with-a-query"),
    ],
)
def test_a_target_says_where_to_send(target, url):
    """It wins over the route, and is relative to the base."""
    assert HttpTransport(BASE, client=Server()).url_of(op(target=target)) == url


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/x",
        "//evil.example.com/x",
        "http://api.example.org/v1/x",
        "https://api.example.org:8443/x",
        "https://user:pw@api.example.org/x",
        "mailto:a@example.org",
    ],
)
def test_credentials_never_travel_to_another_server(target):
    """What does not lie on the transport's own server is refused, and no password is repeated."""
    with pytest.raises(ConfigError, match=r"does not lie on https://api\.example\.org") as refused:
        HttpTransport(BASE, client=Server()).seal(op(target=target))

    assert "pw" not in str(refused.value)


def test_a_route_may_be_a_template():
    """Its fields are quoted, and a POST goes to the part before the entity."""
    transport = HttpTransport(BASE, client=Server(), route="things/{kind}/items/{entity}")

    urls = [transport.url_of(op()), transport.url_of(op(verb=Verb.POST)), transport.address("note", None)]

    assert urls == [BASE + "things/note/items/n1", BASE + "things/note/items", BASE + "things/note/items"]


def test_a_route_may_be_a_function():
    """It gets the op; without one it knows no address."""
    transport = HttpTransport(BASE, client=Server(), route=lambda op: f"x/{op.seq}")

    assert transport.url_of(op()) == BASE + "x/7"
    with pytest.raises(ConfigError, match="route"):
        transport.address("note", "n1")


@pytest.mark.parametrize("place", [None, ""])
def test_a_route_that_leads_nowhere_is_refused(place):
    """A function that forgot to return its path let every write go to the base address, which is the whole API."""
    transport = HttpTransport(BASE, route=lambda op: place)

    with pytest.raises(ConfigError, match="is no place to send a write to"):
        transport.seal(op())
    with pytest.raises(ConfigError, match="is no place to send a write to"):
        HttpTransport(BASE).seal(op(target=""))


@pytest.mark.parametrize(
    ("route", "said"),
    [
        pytest.param("{kind}/{id}", "not 'id'", id="unknown-field"),
        pytest.param("{}", "not ''", id="field-without-a-name"),
        pytest.param("{kind", "cannot be read", id="unbalanced"),
        pytest.param("{kind.x}", r"not 'kind\.x'", id="attribute"),
    ],
)
def test_a_route_that_cannot_be_filled_is_refused_at_once(route, said):
    """A mistake in it is found when the transport is made, not by the first op."""
    with pytest.raises(ConfigError, match=said):
        HttpTransport(BASE, client=Server(), route=route)


@pytest.mark.parametrize("path", ["https://elsewhere.example/batch", "//elsewhere.example/batch", ""])
def test_a_place_for_batches_that_is_none_is_refused_at_once(path):
    """No batch could ever have been sent, and each write would have been in doubt about that for ever."""
    with pytest.raises(ConfigError, match=r"does not lie on|is no place"):
        HttpTransport(BASE, client=Server(), batch=HttpBatch(path))


@pytest.mark.parametrize(
    "base",
    [
        "api.example.org",
        "ftp://api.example.org",
        "https://",
        "/v1",
        "",
        "https://h:port/",
        "https://h?x=1",
        "https://h#x",
    ],
)
def test_an_address_that_cannot_work_is_refused(base):
    """Only an absolute http or https address without query and fragment can be a base."""
    with pytest.raises(ConfigError, match="base_url"):
        HttpTransport(base, client=Server())


async def test_credentials_in_the_address_are_sent_and_nowhere_else():
    """They become a header of each request; origin, repr, addresses and sealed requests do not show them."""
    server = Server()
    transport = HttpTransport("https://user:p%40ss@api.example.org/v1", client=server)
    sealed = transport.seal(op())

    await transport.send(op(), sealed)

    shown = f"{transport.origin} {transport!r} {sealed!r} {transport.address('note', 'n1')} {server.seen[0][1]}"
    assert "p%40ss" not in shown
    assert "user" not in shown
    assert transport.origin == "https://api.example.org"
    assert server.seen[0][2]["Authorization"] == "Basic dXNlcjpwQHNz"


def test_a_wrong_address_is_shown_without_its_password():
    """Not even the error repeats it."""
    with pytest.raises(ConfigError) as refused:
        HttpTransport("ftp://user:pw@api.example.org/", client=Server())

    assert "pw" not in str(refused.value)


async def test_credentials_that_never_come_hold_nothing_up_for_ever():
    """The write was not sent, read back or asked about, and waits for its next turn; its lane would stand for good."""
    transport = HttpTransport(BASE, client=Server(), credentials=asyncio.Event().wait, call_timeout=7.0)

    answer = await transport.send(op(), transport.seal(op()))
    found = await transport.read_back(op(), transport.seal(op()))
    progress = await transport.poll(op(), transport.seal(op()), "/monitors/7")

    assert answer == progress == NotApplied("no credentials to send it with: TimeoutError")
    assert found == Unreadable(answer.reason)
    assert asyncio.get_running_loop().time() == 1021.0


async def test_headers_are_added_when_a_request_is_sent():
    """They may come from a function, which is asked each time, and are no part of what is sealed."""
    server, tokens = Server(), iter(["one", "two"])
    transport = HttpTransport(BASE, client=server, headers=lambda: {"Authorization": next(tokens)})
    sealed = transport.seal(op())

    await transport.send(op(), sealed)
    await transport.send(op(), sealed)

    assert [headers["Authorization"] for _, _, headers, _ in server.seen] == ["one", "two"]
    assert "Authorization" not in dict(sealed.headers)


async def test_who_is_calling_is_said_once():
    """What is given by the address, as a header and as credentials is one header, in whatever case it is written."""
    server = Server()
    base = BASE.replace("//", "//user:pw@")
    transport = HttpTransport(
        base, client=server, headers={"authorization": "old", "a": "b"}, credentials=lambda: {"AUTHORIZATION": "new"}
    )

    await transport.send(op(), transport.seal(op()))
    await transport.read_back(op(), transport.seal(op()))

    assert server.seen[1][2] == {"AUTHORIZATION": "new", "a": "b"}
    assert [value for name, value in server.seen[0][2].items() if name.lower() == "authorization"] == ["new"]


async def test_a_sealed_header_is_sent_once():
    """A header that was given in another case does not go out beside the sealed one."""
    server = Server()
    transport = HttpTransport(BASE, client=server, headers={"content-type": "text/x", "IF-MATCH": "x", "a": "b"})

    await transport.send(op(), transport.seal(op(if_match='"3"')))

    headers = server.seen[0][2]
    assert headers == {
        "a": "b",
        "Content-Type": "application/json",
        "Idempotency-Key": "store.1:7:0",
        "If-Match": '"3"',
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(httpx2.Response(201, headers={"ETag": '"1"'}), Applied('"1"', 201), id="applied"),
        pytest.param(httpx2.Response(401), AuthNeeded("401"), id="401"),
        pytest.param(httpx2.ConnectError("no"), NotApplied("ConnectError: no"), id="nothing-was-sent"),
        pytest.param(httpx2.ReadError("cut"), InDoubt("ReadError: cut"), id="cut"),
        pytest.param(httpx2.UnsupportedProtocol("x"), Rejected("UnsupportedProtocol: x"), id="never"),
        pytest.param(httpx2.PoolTimeout("x"), NotApplied("PoolTimeout: x"), id="no-connection-free"),
    ],
)
async def test_what_comes_back_is_an_answer(result, expected):
    """An HTTP answer and a failure of the network alike."""
    transport = HttpTransport(BASE, client=Server(result))

    assert await transport.send(op(), transport.seal(op())) == expected


@pytest.mark.parametrize(
    ("verb", "result", "expected"),
    [
        pytest.param(Verb.PUT, httpx2.Response(404), Missing(), id="404"),
        pytest.param(Verb.PUT, httpx2.Response(410), Missing(), id="410"),
        pytest.param(
            Verb.PUT,
            httpx2.Response(200, headers={"ETag": '"4"'}, content=b"{}"),
            Found(True, '"4"', b"{}"),
            id="equal",
        ),
        pytest.param(Verb.PUT, httpx2.Response(200, content=b"[]"), Found(False, None, b"[]"), id="different"),
        pytest.param(Verb.DELETE, httpx2.Response(200, content=b"{}"), Found(False, None, b"{}"), id="still-there"),
        pytest.param(Verb.PUT, httpx2.Response(500), Unreadable("the server answered 500"), id="500"),
        pytest.param(Verb.PUT, httpx2.Response(405), Unreadable("the server answered 405", permanent=True), id="405"),
        pytest.param(Verb.PUT, httpx2.Response(401), Unreadable("the server answered 401", False, True), id="401"),
        pytest.param(Verb.PUT, httpx2.Response(302), Unreadable("the server answered 302", permanent=True), id="302"),
        pytest.param(Verb.PUT, httpx2.ReadError("cut"), Unreadable("ReadError: cut"), id="cut"),
        pytest.param(
            Verb.POST,
            httpx2.Response(200),
            Unreadable("a POST has no entity that could be read back", permanent=True),
            id="post",
        ),
    ],
)
async def test_reading_back(verb, result, expected):
    """It tells equal from different, missing from unreadable, and what will never be readable from what may be."""
    written = op(verb=verb, body=None if verb is Verb.DELETE else b"{}")
    transport = HttpTransport(BASE, client=Server(result))

    assert await transport.read_back(written, transport.seal(written)) == expected


async def test_closing_closes_the_shared_client_too():
    """A shared HttpClient is closed with the transport, the client that it was given is not."""
    await HttpTransport(BASE, client=Server()).aclose()
