"""A known sync engine counts each conflict that its reconciler resolves; ours counted those alone that a person did."""

import asyncio

from outlast.events import EventBus
from outlast.outbox import Outbox
from outlast.sync_engine import ConflictPolicy, MergeRules, Rule, Runner, SyncMetrics
from reconciling import BASE, MINE, Notes


async def test_a_merge_is_a_conflict_that_was_resolved(tmp_path):
    """One write is merged and sent again; another finds its own effect already there, which is no conflict."""
    notes, bus = Notes(a=BASE), EventBus()
    notes.edit("a", title="theirs")
    policy = ConflictPolicy(merge=MergeRules(default=Rule.OURS))
    with SyncMetrics(bus) as metrics:
        async with await Outbox.open(tmp_path / "app.db", durability="process", bus=bus) as box:
            for _ in range(2):
                await box.put("note", "a", MINE, if_match='"1"', base=BASE)
                async with Runner(box, notes.transport, conflicts={"note": policy}) as runner, asyncio.timeout(50):
                    await runner.run_until_idle()
                notes.edit("a", more="x")

    now = metrics.snapshot()
    assert (now.sent, now.succeeded, now.queue_depth) == (3, 2, 0)
    assert (now.conflicts, now.conflicts_resolved) == (1, 1)
