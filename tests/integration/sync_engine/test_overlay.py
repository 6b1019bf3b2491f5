"""The overlay over a real outbox, for tasks and for threads."""

import asyncio
import inspect
import json

import pytest

from outlast.engines.json_values import ABSENT
from outlast.engines.overlay import Seen
from outlast.outbox import Applied, Coalescing, Found, OpState, Outbox, Rejected, Stale, SyncOutbox, Verb, Write
from outlast.sync_engine import (
    CallableTransport,
    ConflictPolicy,
    MergeRules,
    OnDuplicate,
    Overlay,
    Rule,
    Runner,
    SyncOverlay,
)

APPLIED = Applied("v2")


class Desk:
    """An outbox with its overlay, spoken to in one way whichever face it has."""

    def __init__(self, box, overlay):
        self.box, self.overlay = box, overlay

    async def ask(self, function, *args, **kwargs):
        """Call a method of either face."""
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)

    async def write(self, verb, entity, body=None, **options):
        """Queue a write through the overlay and return its place."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        write = Write(verb=Verb(verb), kind=options.pop("kind", "note"), entity=entity, body=raw, **options)
        return (await self.ask(self.overlay.enqueue, write))[0].seq

    async def see(self, entity="n1"):
        """Return what a user sees."""
        return await self.ask(self.overlay.see, entity)

    async def deliver(self, answer=APPLIED, read_back=None, conflicts=None):
        """Deliver all that waits, with one answer to all."""

        async def server(op):
            return answer(op) if callable(answer) else answer

        async def look(op):
            return read_back

        transport = CallableTransport(server, read_back=look if read_back is not None else None)
        runner = Runner(self.box, transport, park_lanes=False, conflicts=conflicts)
        async with runner, asyncio.timeout(60):
            await runner.run_until_idle()


@pytest.fixture(params=["async", "sync"])
def desk(request, place):
    """A function that opens a desk; each is closed at the end."""
    opened = []

    async def open_desk(coalescing=None, **options):
        if request.param == "async":
            box = await Outbox.open(place, coalescing=coalescing)
            opened.append(box)
            return Desk(box, Overlay(box, "note", **options))
        box = await asyncio.to_thread(SyncOutbox.open, place, coalescing=coalescing)
        opened.append(box)
        return Desk(box, SyncOverlay(box, "note", **options))

    yield open_desk
    for box in opened:
        box.core.database.close()


async def test_a_write_is_visible_at_once(desk):
    """What was queued is seen by the next read, replayed on what was pulled, until it is rolled back."""
    desk = await desk(shadow={"n1": {"t": "old", "n": 1}})
    assert await desk.see() == Seen({"t": "old", "n": 1})

    first = await desk.write("patch", "n1", {"t": "new"})
    second = await desk.write("patch", "n1", {"done": True})
    made = await desk.write("create", "n2", {"t": "other"})
    await desk.write("delete", "n1", lane="later")
    await desk.write("post", "n2", {"ring": 1})

    assert await desk.see() == Seen(ABSENT, (first, second, 4))
    assert (await desk.see("n2")).value == {"t": "other"}
    assert await desk.ask(desk.overlay.get, "n1") is None
    assert await desk.ask(desk.overlay.items) == {"n2": {"t": "other"}}
    assert (await desk.see("n2")).local == (made, 5)


async def test_a_delivered_write_stays_until_a_pull_contains_it(desk):
    """Between the answer and the pull nothing jumps back; an older pull is refused."""
    desk = await desk(shadow={"n1": {"t": "old"}})
    early = desk.overlay.start_pull()
    seq = await desk.write("patch", "n1", {"t": "mine"})
    await desk.deliver()

    assert await desk.see() == Seen({"t": "mine"}, (seq,))
    assert desk.overlay.pulled("n1", {"t": "old", "x": 1}, version="v1", mark=early)
    assert await desk.see() == Seen({"t": "mine", "x": 1}, (seq,))
    assert desk.overlay.pulled("n1", {"t": "mine", "x": 2}, version="v2")
    assert await desk.see() == Seen({"t": "mine", "x": 2})
    assert not desk.overlay.pulled("n1", {"t": "older"}, version="v1", mark=early)
    assert desk.overlay.pulled("n1", None, version="v3")
    assert await desk.ask(desk.overlay.items) == {}


@pytest.mark.parametrize(
    ("answer", "state"), [(Rejected("no", 422), OpState.DEAD), (Stale("409"), OpState.CONFLICT)], ids=["dead", "stale"]
)
async def test_a_refused_write_is_rolled_back_and_the_later_one_stays(desk, answer, state):
    """The other edit is not undone with it; whoever follows is told; a replay shows it again."""
    desk = await desk(shadow={"n1": {"t": "old", "done": False}})
    bad = await desk.write("post" if state is OpState.CONFLICT else "patch", "n1", {"t": "bad"}, lane="a")
    good = await desk.write("patch", "n1", {"done": True}, lane="b")
    heard = []
    for seq in (bad, good):
        desk.overlay.follow(
            seq,
            on_success=lambda status: heard.append(("ok", status.seq, status.state)),
            on_error=lambda status: heard.append(("no", status.seq, status.state)),
        )
    await desk.deliver(lambda op: answer if op.seq == bad else Applied("v2"))

    assert await desk.see() == Seen({"t": "old", "done": True}, (good,))
    assert heard == [("no", bad, state), ("ok", good, OpState.DELIVERED)]
    await desk.ask(desk.box.replay, bad, {"t": "fixed"})
    assert (await desk.see()).local == (bad, good)


@pytest.mark.parametrize(("policy", "said"), [("discard", "delivered:dropped"), ("merge", "delivered:equal")])
async def test_what_a_policy_has_dropped_is_shown_no_longer(desk, policy, said):
    """It had no effect on the server, so that no pull will ever contain it; what was pulled is seen again."""
    desk, heard = await desk(shadow={"n1": {"t": "theirs"}}), []
    seq = await desk.write("create", "n1", {"t": "mine"})
    desk.overlay.follow(seq, on_success=lambda status: heard.append(status.reason))
    conflicts = ConflictPolicy(merge=MergeRules(default=Rule.THEIRS), on_duplicate=OnDuplicate(policy))
    await desk.deliver(Stale("412"), Found(False, '"v7"', b'{"t":"theirs"}'), conflicts)

    assert await desk.see() == Seen({"t": "theirs"})
    assert heard == [said]


async def test_versions_that_have_come_and_gone_before_the_answer_contain_it(desk):
    """The feed was quicker than the look: it brought the own version and the one that others made of it."""
    desk = await desk(shadow={"n1": {"t": "old"}})
    await desk.write("put", "n1", {"t": "mine"})
    await desk.deliver(Applied("v2"))
    for version, text in (("v2", "mine"), ("v3", "theirs")):
        desk.overlay.pulled("n1", {"t": text}, version=version)

    assert await desk.see() == Seen({"t": "theirs"})


async def test_what_is_made_anew_after_a_delivered_delete_is_seen(desk):
    """An answer to a delete names no version; an event by which the entity is gone has it, and a later one is seen."""
    desk = await desk(shadow={"n1": {"t": "old"}})
    await desk.write("delete", "n1")
    await desk.deliver(Applied(None))
    assert await desk.see() == Seen(ABSENT, (1,))
    desk.overlay.pulled("n1", None, version="v2")
    assert await desk.see() == Seen(ABSENT)
    desk.overlay.pulled("n1", {"t": "new"}, version="v3")

    assert await desk.see() == Seen({"t": "new"})


async def test_a_discarded_write_is_told_without_a_status(desk):
    """There is nothing left to be shown of it."""
    desk, heard = await desk(), []
    seq = await desk.write("put", "n1", {"t": "bad"})
    desk.overlay.follow(seq, on_error=heard.append)
    await desk.see()
    await desk.deliver(Rejected("no", 422))
    await desk.ask(desk.box.discard, seq)

    assert await desk.see() == Seen(ABSENT)
    assert heard == [None]


async def test_another_process_s_writes_are_seen(desk):
    """A second desk on the file sees what the first queued, and that it is delivered."""
    here, there = await desk(), await desk()
    seq = await here.write("put", "n1", {"t": "mine"})

    assert await there.see() == Seen({"t": "mine"}, (seq,))
    await here.deliver()
    assert there.overlay.pulled("n1", {"t": "mine", "id": 7}, mark=there.overlay.start_pull())
    assert (await there.see()).value == {"t": "mine"}
    assert there.overlay.pulled("n1", {"t": "mine", "id": 7}, mark=there.overlay.start_pull())
    assert await there.see() == Seen({"t": "mine", "id": 7})


async def test_writes_that_go_past_the_overlay(desk):
    """What the box itself was given is seen by the next look; writes of other kinds are not."""
    desk = await desk()
    await desk.ask(desk.box.put, "note", "n1", {"t": "past"})
    await desk.ask(desk.box.put, "list", "l1", {})
    await desk.write("put", "l2", {}, kind="list")

    assert await desk.see() == Seen({"t": "past"}, (1,))
    assert await desk.ask(desk.overlay.items) == {"n1": {"t": "past"}}


async def test_what_was_undone_before_it_was_sent_is_not_shown(desk):
    """A create that is deleted before it was sent leaves nothing to see, and its author is told that it is done."""
    told, opened = [], await desk(coalescing=Coalescing())
    seq = await opened.write("create", "n1", {"t": "a"})
    opened.overlay.follow(seq, on_success=lambda status: told.append(status.state), on_error=told.append)
    assert (await opened.see()).value == {"t": "a"}
    await opened.write("delete", "n1")

    assert await opened.see() == Seen(ABSENT)
    assert told == [OpState.ANNIHILATED]


async def test_what_was_taken_up_by_another_write_is_shown_once(desk):
    """Of two writes that a third makes one, the place of the older stays; who follows the other follows that."""
    told, opened = [], await desk(coalescing=Coalescing(), shadow={"n1": {"t": 0}})
    first = await opened.write("patch", "n1", {"t": {"a": None}})
    second = await opened.write("patch", "n1", {"t": {"a": {"b": 1}}})
    opened.overlay.follow(second, on_success=lambda status: told.append(status.seq))
    assert first != second
    await opened.write("put", "n1", {"t": 2})

    assert await opened.see() == Seen({"t": 2}, (first,))
    await opened.deliver()
    await opened.see()
    assert told == [first]


async def test_who_follows_a_settled_write_is_told(desk):
    """Also when nobody ever looked while it waited, and nothing changes any more."""
    desk, heard = await desk(), []
    ticket = await desk.ask(desk.box.put, "note", "n1", {})
    await desk.deliver()
    await desk.see()
    desk.overlay.follow(ticket.seq, on_success=heard.append)
    await desk.see()

    assert [status.state for status in heard] == [OpState.DELIVERED]


async def test_a_changed_body_is_seen(desk):
    """A write that comes back with another body shows that one."""
    desk = await desk()
    seq = await desk.write("put", "n1", {"t": "bad"})
    await desk.deliver(Rejected("no", 422))
    assert await desk.see() == Seen(ABSENT)
    await desk.ask(desk.box.replay, seq, {"t": "good"})

    assert await desk.see() == Seen({"t": "good"}, (seq,))


async def test_an_event_that_names_the_key_of_an_own_write_contains_it(desk):
    """It comes before the answer is recorded, and the write is not replayed on its own result; other keys are none."""
    desk = await desk(shadow={"n1": {"n": 1}}, effect=lambda value, op: {"n": value["n"] + 1})
    seq = await desk.write("patch", "n1", {})
    key = (await desk.ask(desk.box.pending, "note"))[0].key
    assert await desk.see() == Seen({"n": 2}, (seq,))

    for stranger in ("", "key", key + "0", f"x{key}", f"a:{'9' * 5000}:0"):
        desk.overlay.pulled("n1", {"n": 5}, includes=stranger)
        assert await desk.see() == Seen({"n": 6}, (seq,))
    desk.overlay.pulled("n1", {"n": 2}, includes=key)

    assert await desk.see() == Seen({"n": 2})
    await desk.deliver()
    assert await desk.see() == Seen({"n": 2})


async def test_bodies_that_are_no_json(desk):
    """A whole body is shown as it is; of a patch that is no merge patch nobody can say what it does."""
    desk = await desk(shadow={"n1": [1]})
    await desk.write("patch", "n1", b"\x00\x01", content_type="application/x-delta")
    await desk.write("patch", "n1", b"\x00\x01")
    await desk.write("patch", "n1", b"[]", content_type="application/json-patch+json")
    await desk.write("put", "n2", b"\x00", content_type="application/x-blob")

    assert (await desk.see()).value == [1]
    assert (await desk.see("n2")).value == b"\x00"


async def test_listeners_hear_which_entities_changed(desk, caplog):
    """Each is told the id, also after one that raised; who has left is told nothing."""
    desk, heard, left = await desk(), [], []
    desk.overlay.on_change(lambda entity: 1 / 0)
    desk.overlay.on_change(heard.append)
    stop = desk.overlay.on_change(left.append)
    stop()
    stop()
    await desk.write("put", "n1", {})
    await desk.see()
    desk.overlay.pulled("n2", {})

    assert (heard, left) == (["n1", "n2"], [])
    assert "a listener of an overlay raised" in caplog.text


async def test_a_listener_may_use_the_overlay(desk):
    """Listeners run outside of every lock: one that reads does not wait for itself."""
    desk, seen = await desk(), []

    def listen(entity):
        read = desk.overlay.see(entity) if isinstance(desk.overlay, SyncOverlay) else None
        seen.append(read or Seen({"t": "mine"}, (1,)))
        desk.overlay.follow(1)

    desk.overlay.on_change(listen)
    await desk.ask(desk.box.put, "note", "n1", {"t": "mine"})
    await desk.see()

    assert seen == [Seen({"t": "mine"}, (1,))]


async def test_inside_the_block_listeners_hear_without_anybody_reading(place):
    """The task sees writes of this process and deliveries, and ends with the block."""
    async with await Outbox.open(place) as box, asyncio.timeout(60):
        overlay, heard = Overlay(box, "note", look_every=0.01), asyncio.Queue()
        overlay.on_change(heard.put_nowait)
        async with overlay:
            ticket = await box.put("note", "n1", {"t": "mine"})
            assert await heard.get() == "n1"
            await Desk(box, overlay).deliver()
            assert await heard.get() == "n1"
            assert await overlay.get("n1") == {"t": "mine"}
        await box.put("note", "n2", {"t": "later"})
        assert heard.empty()
        assert (await overlay.see("n1")).local == (ticket.seq,)


class Broken:
    """A file that cannot be read; it tells when somebody tries."""

    result = None

    def __init__(self):
        self.tried = asyncio.Event()

    def data_version(self):
        """Fail."""
        self.tried.set()
        raise OSError("the disk is away")


async def test_a_look_that_fails_is_not_the_last(place, caplog):
    """The task logs what it ran into and goes on."""
    async with await Outbox.open(place) as box, asyncio.timeout(60):
        overlay, heard, broken = Overlay(box, "note", look_every=0.01), asyncio.Queue(), Broken()
        overlay.on_change(heard.put_nowait)
        async with overlay:
            healthy, overlay._source = overlay._source, broken
            await broken.tried.wait()
            overlay._source = healthy
            await box.put("note", "n1", {})
            assert await heard.get() == "n1"
    assert "could not look" in caplog.text


async def test_a_write_after_the_loop_has_gone_wakes_nobody(place):
    """A listener of the outbox outlives its loop without harm."""
    box = await Outbox.open(place)

    def short_life():
        async def open_and_leave():
            await Overlay(box, "note").__aenter__()

        asyncio.run(open_and_leave())

    await asyncio.to_thread(short_life)
    await box.put("note", "n1", {})
    await box.aclose()
