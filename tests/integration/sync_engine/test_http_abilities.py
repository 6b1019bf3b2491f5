"""What a real HTTP server may ask of a transport: patience, new credentials, batches, versions that must be read."""

import asyncio
import json

import pytest

from answering import deliver, served
from delivering import opened, put
from outlast.engines.batches import BatchLimits
from outlast.outbox import Counts, OpState, Verb
from outlast.sync_engine import HttpBatch, HttpTransport


@pytest.mark.parametrize(
    ("last", "state", "reason"),
    [
        pytest.param((200, {}, {"status": "Succeeded"}), OpState.DELIVERED, "", id="succeeded"),
        pytest.param((303, {"Location": "/v1/note/a"}, b""), OpState.DELIVERED, "", id="see-other"),
        pytest.param(
            (200, {}, {"status": "failed", "detail": "no seat left"}),
            OpState.DEAD,
            "the server had accepted it, and then: 200 no seat left",
            id="failed",
        ),
    ],
)
async def test_a_status_monitor_is_asked_until_the_work_is_done(place, last, state, reason):
    """202 with a place to ask at: running, busy, running, done or failed; the write itself is sent once."""
    script = [(202, {}, b""), (503, {"Retry-After": "0"}, b""), (200, {}, {"status": "in_progress"}), last]

    def answer(method, path, headers, body):
        if method == "PUT":
            return 202, {"Operation-Location": "/monitors/7", "Location": "/elsewhere"}, b""
        return script.pop(0)

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(box, HttpTransport(api.url, headers={"Authorization": "secret"}))
        status = await box.ticket(1).status()

        assert (api.paths("PUT"), api.paths("GET")) == (["/v1/note/a"], ["/monitors/7"] * 4)
        assert (status.state, status.reason) == (state, reason)
        assert all(headers["Authorization"] == "secret" for _, _, headers, _ in api.seen)


async def test_a_monitor_on_another_server_gets_no_credentials(place):
    """It is asked, and our secrets are none of its business; an address that is none is looked at no further."""

    def monitor(method, path, headers, body):
        return 200, {}, {"state": "done"}

    async with served(monitor) as other, opened(place) as box:

        def answer(method, path, headers, body):
            if path.endswith("/bad"):
                return (202, {"Location": "ftp://nowhere/x"}, b"") if method == "PUT" else (200, {}, {})
            return 202, {"Location": f"{other.url}monitor"}, b""

        async with served(answer) as api:
            await box.enqueue(put("a"), put("bad"))
            await deliver(box, HttpTransport(api.url, headers={"Authorization": "secret"}))

        assert await box.counts() == Counts(delivered=2)
        assert [headers.get("Authorization") for _, _, headers, _ in other.seen] == [None]


async def test_a_202_that_names_no_place_to_ask_is_all_there_is_to_know(place):
    """The server has taken it over; nobody could ever learn more."""
    async with served(lambda *_: (202, {}, b"")) as api, opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(box, HttpTransport(api.url))

        assert await box.counts() == Counts(delivered=1)


class Tokens:
    """Hold a token that is refreshed by awaiting."""

    def __init__(self):
        self.number, self.refreshed = 0, 0

    async def headers(self):
        """Return the present token."""
        return {"Authorization": f"Bearer {self.number}"}

    async def refresh(self):
        """Get a new one."""
        await asyncio.sleep(0.02)
        self.refreshed += 1
        self.number += 1


async def test_a_token_that_has_run_out_is_refreshed_once_for_all(place):
    """Many 401 and two transports that share the token: one refresh, and all is delivered."""

    def answer(method, path, headers, body):
        return (200 if headers["Authorization"] == "Bearer 1" else 401), {"ETag": '"1"'}, b""

    async with served(answer) as one, served(answer) as two, opened(place) as box:
        tokens = Tokens()
        notes, users = (HttpTransport(api.url, credentials=tokens) for api in (one, two))
        await box.enqueue(*[put(str(number), kind=kind) for number in range(6) for kind in ("note", "user")])
        await deliver(box, notes, users, routes={"note": notes, "user": users})

        assert (tokens.refreshed, await box.counts()) == (1, Counts(delivered=12))


async def test_credentials_may_be_a_function(place):
    """A plain or an awaited function gives the headers; it has no way to refresh them."""

    async def asked():
        return {"X-Token": "t"}

    for give in (asked, lambda: {"X-Token": "t"}):
        async with served(lambda *_: (200, {"ETag": '"1"'}, b"")) as api, opened(place) as box:
            await box.enqueue(put("a"))
            transport = HttpTransport(api.url, credentials=give)
            await deliver(box, transport)

            assert (transport.account, api.seen[0][2]["X-Token"]) == (None, "t")


class Batches:
    """Take requests in one, at most so many at once, and apply each; some answers get lost."""

    def __init__(self, most=100, form="ids", lose=()):
        self.most, self.form, self.lose = most, form, set(lose)
        self.sizes, self.applied, self.keys = [], {}, {}

    def __call__(self, method, path, headers, body):
        if path != "/v1/batch":
            key = headers["Idempotency-Key"]
            return 200, {"ETag": '"1"'}, {"path": path, "first": self.applied.setdefault(path, key) == key}
        requests = json.loads(body)["requests"]
        self.sizes.append(len(requests))
        if len(requests) > self.most:
            return 413, {}, b""
        items = [self._item(request) for request in requests]
        if self.form == "order":
            return 200, {}, [{name: value for name, value in item.items() if name != "id"} for item in items]
        lost = self._lost(requests)
        return 207, {}, {"responses": [item for item in items if item["id"] not in lost]}

    def _lost(self, requests):
        lost = {request["id"] for request in requests if request["path"] in self.lose}
        self.lose -= {request["path"] for request in requests}
        return lost

    def _item(self, request):
        key, path = request["id"], request["path"]
        assert request["headers"]["Idempotency-Key"] == key
        if path.endswith("bad"):
            return {"id": key, "status": 400, "headers": {}, "body": {"detail": "no such field"}}
        if path.endswith("busy") and key not in self.keys:
            self.keys[key] = 1
            return {"id": key, "status": 503, "headers": {"Retry-After": "0"}, "body": None}
        if key not in self.keys or path not in self.applied:
            self.applied.setdefault(path, []).append(request["body"])
        self.keys[key] = 1
        return {"id": key, "status": 200, "headers": {"ETag": '"1"'}, "body": {}}


@pytest.mark.parametrize("form", ["ids", "order"])
async def test_many_ops_travel_in_one_request_and_each_has_its_own_end(place, form):
    """Applied, refused and busy side by side: each is recorded for itself, and each kept its key."""
    batches = Batches(form=form)
    async with served(batches) as api, opened(place) as box:
        await box.enqueue(*[put(f"n{number}", b'{"n": 1}') for number in range(40)], put("bad"), put("busy"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch(limits=BatchLimits(max_count=50))))
        status = await box.ticket(41).status()

        assert (batches.sizes[0], await box.counts()) == (42, Counts(delivered=41, dead=1))
        assert (status.state, status.reason) == (OpState.DEAD, "400 no such field")
        assert all(len(bodies) == 1 for bodies in batches.applied.values() if isinstance(bodies, list))


async def test_a_batch_that_is_too_large_is_halved(place):
    """413 halves until it fits; later batches begin with what fitted, and nothing is sent twice."""
    batches = Batches(most=8)
    async with served(batches) as api, opened(place) as box:
        await box.enqueue(*[put(f"n{number}", b'{"n": 1}') for number in range(32)])
        await deliver(box, HttpTransport(api.url, batch=HttpBatch(limits=BatchLimits(max_count=32))), concurrency=1)

        assert (batches.sizes[:3], await box.counts()) == ([32, 16, 8], Counts(delivered=32))
        assert sum(size for size in batches.sizes if size <= 8) == 32


async def test_what_a_batch_answer_does_not_mention_is_in_doubt(place):
    """It goes again under its own key, and the server that knows the key does nothing twice."""
    batches = Batches(lose=["/v1/note/n3", "/v1/note/n7"])
    async with served(batches) as api, opened(place) as box:
        await box.enqueue(*[put(f"n{number}", b'{"n": 1}') for number in range(10)])
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))

        assert await box.counts() == Counts(delivered=10)
        assert len(api.seen) >= 2


async def test_a_batch_is_bounded_by_bytes_and_each_lane_goes_in_order(place):
    """Bodies of 600 bytes do not go two in a batch of 1000; followers go after their heads."""
    batches = Batches()
    body = json.dumps({"text": "x" * 600}).encode()
    limits = BatchLimits(max_count=10, max_bytes=1000)
    async with served(batches) as api, opened(place) as box:
        await box.enqueue(*[put(f"n{number % 3}", body) for number in range(9)])
        await deliver(box, HttpTransport(api.url, batch=HttpBatch(limits=limits)), concurrency=2)

        assert await box.counts() == Counts(delivered=9)
        assert max(batches.sizes, default=0) <= 1


async def test_what_cannot_be_put_into_a_batch_travels_alone(place):
    """A body that is no JSON has no place in one; a batch that is refused as a whole refuses each."""
    batches = Batches()
    async with served(batches) as api, opened(place) as box:
        await box.enqueue(put("n1", b"\xff"), put("n2", b"\xfe"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))
        applied = sorted(api.paths("PUT"))
    async with served(lambda *_: (403, {}, b"")) as api, opened(place) as box:
        await box.enqueue(put("n3"), put("n4"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))

        assert (applied, batches.sizes, await box.counts()) == (
            ["/v1/note/n1", "/v1/note/n2"], [], Counts(delivered=2, dead=2),
        )  # fmt: skip


async def test_a_version_that_is_not_named_can_be_read(place):
    """The next write is based on it, so that it cannot overwrite what others did in between."""
    held = {}

    def answer(method, path, headers, body):
        if method == "GET":
            return 200, {"ETag": f'"{held["version"]}"'}, held["body"]
        held.update(version=held.get("version", 0) + 1, body=body)
        return 204, {}, b""

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a", b'{"n": 1}'), put("a", b'{"n": 2}'), put("a", b"", verb=Verb.DELETE))
        await deliver(box, HttpTransport(api.url, read_version=True))
        sent = [headers.get("If-Match") for method, _, headers, _ in api.seen if method != "GET"]

        assert (sent, len(api.paths("GET"))) == ([None, '"1"', '"2"'], 2)


async def test_a_version_that_somebody_else_made_is_not_taken_for_ours(place):
    """When the entity holds other content already, there is no version to build on."""

    def answer(method, path, headers, body):
        return (200, {"ETag": '"9"'}, {"n": 9}) if method == "GET" else (204, {}, b"")

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a", b'{"n": 1}'))
        await deliver(box, HttpTransport(api.url, read_version=True))

        assert (await box.ticket(1).status()).etag is None
