"""Servers that answer oddly: nothing is taken for delivered that was not, and nothing waits for ever for it."""

import json

import pytest

from answering import deliver, served
from delivering import opened, put
from outlast.events import OpPostponed
from outlast.outbox import Counts, Verb, Write
from outlast.sync_engine import HttpBatch, HttpTransport

ODD = '"\xe9"'
"""A version that no header of ours can carry."""


def remove(entity):
    """Make the removal of a note."""
    return Write(verb=Verb.DELETE, kind="note", entity=entity)


@pytest.mark.parametrize("status", [404, 409, 410, 412])
async def test_an_answer_about_the_batch_is_none_about_its_entities(tmp_path, status):
    """A server without a place for batches was taken to say that all that was to be removed is gone already."""
    held = {"/v1/note/a", "/v1/note/b"}

    def answer(method, path, headers, body):
        if path not in held:
            return status, {}, b""
        held.remove(path)
        return 204, {}, b""

    async with served(answer) as api, opened(tmp_path / "app.db") as box:
        await box.enqueue(remove("a"), remove("b"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))

        assert (held, await box.counts()) == (set(), Counts(delivered=2))
        assert len(api.seen) == 3


async def test_what_is_too_large_for_a_batch_may_fit_alone(tmp_path):
    """The place for batches takes less than the others; a write that was too large for it was given up."""

    def answer(method, path, headers, body):
        return (413 if path == "/v1/batch" else 204), {}, b""

    async with served(answer) as api, opened(tmp_path / "app.db") as box:
        await box.enqueue(put("a"), put("b"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))

        assert (await box.counts(), api.paths("PUT")) == (Counts(delivered=2), ["/v1/note/a", "/v1/note/b"])


async def test_a_version_that_cannot_be_sent_back_is_none(place):
    """The next write of the entity would wait for ever, since its If-Match could not be sent."""
    async with served(lambda *_: (200, {"ETag": ODD}, b"{}")) as api, opened(place) as box:
        await box.enqueue(put("a"), put("a", b'{"n": 2}'))
        await deliver(box, HttpTransport(api.url, read_version=True))

        assert await box.counts() == Counts(delivered=2)
        assert [headers.get("If-Match") for method, _, headers, _ in api.seen if method == "PUT"] == [None, None]


@pytest.mark.parametrize("etag", [ODD, '"\ud800"', '"1"\r\nX-Admin: 1', '"a\0b"'])
async def test_a_version_in_an_answer_to_a_batch_may_be_any_text(place, etag):
    """It was stored as it came: half a character stopped the runner, and would have at every start."""

    def answer(method, path, headers, body):
        if path != "/v1/batch":
            return 204, {}, b""
        return 200, {}, [{"status": 200, "headers": {"ETag": etag}} for _ in json.loads(body)["requests"]]

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a"), put("b"), put("a", b'{"n": 2}'))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))

        assert await box.counts() == Counts(delivered=3)
        assert "If-Match" not in api.seen[-1][2]


@pytest.mark.parametrize("batch", [None, HttpBatch()], ids=["alone", "batch"])
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(OSError("no network"), "OSError: no network", id="none-to-be-had"),
        pytest.param(
            "secret\n",
            "ConfigError: headers: the header 'Authorization' cannot be sent: its value is one line of ASCII",
            id="line-break",
        ),
        pytest.param({"X Token": "1"}, "ConfigError: headers: 'X Token' cannot be the name of a header", id="name"),
    ],
)
async def test_writes_wait_for_credentials_that_can_be_sent(tmp_path, token, reason, batch):
    """A token with the line break of its file buried every write, unsent, and its text with them."""
    tokens, reasons = [token, token], set()

    def give():
        found = tokens.pop() if tokens else "secret"
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, dict) else {"Authorization": found}

    def answer(method, path, headers, body):
        return 200, {}, [{"status": 204}, {"status": 204}]

    async with served(answer) as api, opened(tmp_path / "app.db") as box:
        await box.enqueue(*(Write(verb=Verb.POST, kind="mail", entity=name, body=b"{}") for name in "ab"))
        with box.core.bus.subscribe(lambda event: reasons.add(event.reason), OpPostponed):
            await deliver(box, HttpTransport(api.url, credentials=give, batch=batch))

        assert reasons == {f"no credentials to send it with: {reason}"}
        assert (await box.counts(), api.seen[0][2]["Authorization"]) == (Counts(delivered=2), "secret")


@pytest.mark.parametrize("monitor", ["http://[", "http://h:99999999/", "http://h:x/", "http://\x7f/"])
async def test_a_monitor_at_no_address_is_looked_at_no_further(tmp_path, monitor):
    """The write is read back at once; it was asked about in vain for a day, or buried as one that had failed."""

    def answer(method, path, headers, body):
        return (200, {}, b"{}") if method == "GET" else (202, {"Location": monitor}, b"")

    async with served(answer) as api, opened(tmp_path / "app.db") as box:
        await box.enqueue(put("a"))
        await deliver(box, HttpTransport(api.url))

        assert (await box.counts(), api.paths("GET")) == (Counts(delivered=1), ["/v1/note/a"])


async def test_what_a_batch_only_takes_over_is_asked_about(place):
    """A 202 in the answer to a batch counted as delivered, and nobody heard that the work had failed later."""
    last = {"/jobs/a": {"status": "failed", "detail": "no seat left"}, "/jobs/b": {"status": "done"}}

    def answer(method, path, headers, body):
        if method == "GET":
            return 200, {}, last[path]
        return 200, {}, [{"status": 202, "headers": {"Location": place}} for place in last]

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch()))
        reason = (await box.ticket(1).status()).reason

        assert (await box.counts(), sorted(api.paths("GET"))) == (Counts(delivered=1, dead=1), [*last])
        assert reason == "the server had accepted it, and then: 200 no seat left"


async def test_a_version_that_a_batch_does_not_name_is_read(place):
    """The next write of each entity is based on it, as after a write that travels alone."""

    def answer(method, path, headers, body):
        if method == "GET":
            return 200, {"ETag": f'"{path[-1]}"'}, b"{}"
        return 200, {}, [{"status": 204} for _ in json.loads(body)["requests"]]

    async with served(answer) as api, opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        await deliver(box, HttpTransport(api.url, batch=HttpBatch(), read_version=True))

        assert [(await box.ticket(seq).status()).etag for seq in (1, 2)] == ['"a"', '"b"']
