"""What becomes of a store's write that the server refuses: nothing is overwritten, and readers see what is true."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from store_world import PATIENCE, Note, quick_config

from outlast.lab._notes import Change
from outlast.outbox import OpState
from outlast.store import StoreSource
from outlast.sync_engine import ConflictPolicy, MergeRules, Rule


async def test_somebody_elses_change_is_never_overwritten(world):
    """A save that lost a race lies in the conflicts; readers see what the server holds."""
    async with world() as w, w.store(ttl=60) as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.somebody_writes("a", "theirs")
        status = await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)
        await store.delivered(PATIENCE)
        result = await store.read("a")

        assert status.state is OpState.CONFLICT
        assert w.effects("a") == ["other-old", "other-theirs"]
        assert (result.value.text, result.stale) == ("theirs", False)
        assert result.source is not StoreSource.PENDING


async def test_what_only_one_side_changed_is_merged(world):
    """A save is merged with what others did to other fields since it was read; members that the model lacks stay."""
    async with world() as w, w.store(ttl=60) as store:
        w.book.overwrite(Change("PUT", "a", "w0", '{"write": "w0", "text": "old", "stars": 1}'))
        seen = await store.get("a")
        w.book.overwrite(Change("PUT", "a", "w9", '{"write": "w9", "text": "old", "stars": 2}'))
        ticket = await store.save(replace(seen, id="a", text="mine"))
        again = await store.save(Note("w0", "mine too", "a"))
        await store.delivered(PATIENCE)
        held = json.loads(w.book.read("a").body)

        assert {(await one.status()).state for one in (ticket, again)} == {OpState.DELIVERED}
        assert (held["write"], held["text"], held["stars"]) == ("w9", "mine too", 2)
        assert (await store.get("a")).write == "w9"


async def test_a_store_has_its_policy_for_conflicts(world):
    """What both sides changed is settled by the rule of the field, where the settings have one."""
    config = quick_config(conflicts=ConflictPolicy(merge=MergeRules({"text": Rule.OURS, "write": Rule.THEIRS})))
    async with world() as w, w.store(config=config) as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.somebody_writes("a", "theirs")
        status = await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)

        assert status.state is OpState.DELIVERED
        assert await store.get("a") == Note("other-theirs", "mine", "a")


async def test_a_creation_that_was_forestalled_is_a_conflict(world):
    """A save of an entity that somebody else made meanwhile overwrites nothing."""
    async with world() as w, w.store() as store:
        await store.read("a")
        w.somebody_writes("a", "theirs")
        status = await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)
        await store.delivered(PATIENCE)

        assert status.state is OpState.CONFLICT
        assert (await store.get("a")).text == "theirs"
        assert w.effects("a") == ["other-theirs"]


async def test_a_conflict_found_while_reads_fail_leaves_what_was_known(world):
    """When the server's value cannot be fetched at a conflict, readers keep what they had."""
    async with world() as w, w.store() as store:
        w.somebody_writes("a", "old")
        await store.read("a")
        w.somebody_writes("a", "theirs")

        async def no_load(key):
            raise OSError(key)

        store._backend.load = no_load
        status = await (await store.save(Note("w1", "mine", "a"))).settled(PATIENCE)
        await store.delivered(PATIENCE)

        assert status.state is OpState.CONFLICT
        assert (await store.get("a")).text == "old"


@dataclass(frozen=True)
class Bare:
    id: str


async def test_a_write_that_the_server_refuses_for_good_is_no_longer_read(world):
    """A rejected write lies in the dead letters, and readers see what the server holds."""
    async with world() as w, w.store(model=Bare) as store:
        status = await (await store.save(Bare("a"))).settled(PATIENCE)
        await store.delivered(PATIENCE)

        assert status.state is OpState.DEAD
        assert await store.get("a") is None
