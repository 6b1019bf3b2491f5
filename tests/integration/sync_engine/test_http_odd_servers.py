"""Servers that answer oddly: nothing is taken for delivered that was not, and nothing waits for ever for it."""

import json

import pytest

from answering import deliver, served
from delivering import opened, put
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
