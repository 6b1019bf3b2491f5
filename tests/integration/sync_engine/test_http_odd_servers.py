"""Servers that answer oddly: nothing is taken for delivered that was not, and nothing waits for ever for it."""

import pytest

from answering import deliver, served
from delivering import opened
from outlast.outbox import Counts, Verb, Write
from outlast.sync_engine import HttpBatch, HttpTransport


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
