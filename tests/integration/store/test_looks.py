"""What a store learns from its looks at an outbox that others deliver."""

from __future__ import annotations

from outlast.outbox import Applied, Outbox, Verb
from outlast.store import HttpBackend, StoreConfig
from outlast.store._delivery import StoreDelivery, default_breaker
from outlast.store._pending import PendingWrite, PendingWrites
from outlast.sync_engine import CallableTransport, Runner


async def test_of_two_writes_of_one_key_the_later_is_shown_last(tmp_path):
    """Also when the first was queued while somebody looked, so that the second is known longer; both are delivered."""
    shown = []

    async def show(key, body, etag):
        shown.append((key, body, etag))

    async def send(op):
        return Applied(f'"{op.seq}"')

    async with await Outbox.open(tmp_path / "app.db") as box:
        backend, pending = HttpBackend("http://127.0.0.1/", "notes"), PendingWrites()
        delivery = StoreDelivery(
            box, backend, default_breaker(box.core), StoreConfig(), pending, show=show, refresh=backend.load
        )
        for body in (b'"first"', b'"second"'):
            await box.put("notes", "n1", body)
        contents, known = pending.look()
        pending.add("n1", PendingWrite(1, Verb.PUT, b'"first"'))
        pending.adopt(await box.core.result(box.core.diff_pending("notes", contents, known)))
        async with Runner(box, CallableTransport(send)) as runner:
            await runner.run_until_idle()
        await delivery._compare()
        await backend.aclose()

    assert shown == [("n1", b'"first"', '"1"'), ("n1", b'"second"', '"2"')]
