"""As long as too many conflicts and dead letters wait for a decision, no new write is taken; none is dropped."""

import asyncio
import threading

import pytest

from delivering import deliver, opened, put
from outlast.errors import OutboxFullError
from outlast.events import EventBus
from outlast.outbox import Coalescing, Counts, OutboxLimits, Rejected, Stale, SyncOutbox
from stores import SqlitePlace


def refuse(place):
    """Deliver to a server that refuses everything."""

    async def answer(op):
        return Rejected("422") if op.seq % 2 else Stale("412")

    async def run():
        async with opened(place) as box:
            await deliver(box, answer)

    asyncio.run(run())


def test_too_many_parked_writes_refuse_new_ones(face, place):
    """The error names the remedy; what waits is delivered and may join them; a decision makes room again."""
    box = face.open(place, limits=OutboxLimits(max_parked=2))
    face.do(box.enqueue(*[put(f"n{number}") for number in range(3)]))
    refuse(place)

    with pytest.raises(OutboxFullError, match=r"max_parked=2 allows; decide .* replay and discard") as caught:
        face.do(box.put("note", "more", {}))
    counts = face.do(box.counts())
    for seq in (1, 2):
        face.do(box.discard(seq))

    assert (caught.value.what, caught.value.limit, caught.value.never) == ("parked", 2, False)
    assert counts == Counts(dead=2, conflict=1)
    assert face.do(box.put("note", "more", {})).seq == 4


def test_what_takes_no_room_is_taken(tmp_path):
    """An edit that is folded into a write which waits adds none, and so does a name that is known."""
    place = SqlitePlace(tmp_path / "app.db")
    with SyncOutbox.open(
        place, limits=OutboxLimits(max_parked=1), coalescing=Coalescing({"note"}), bus=EventBus()
    ) as box:
        box.put("note", "dead", {})
        refuse(place)
        with SyncOutbox.open(place, bus=EventBus()) as other:
            other.put("note", "waits", {"n": 1}, once="name")

        assert box.put("note", "waits", {"n": 2}).status().seq == 2
        assert box.put("note", "waits", {"n": 3}, once="name").seq == 2
        with pytest.raises(OutboxFullError):
            box.put("note", "new", {})


def test_who_waits_goes_on_when_somebody_has_decided(tmp_path):
    """With when_full="wait" the call returns once there is room."""
    place = SqlitePlace(tmp_path / "app.db")
    limits = OutboxLimits(max_parked=1, when_full="wait")
    with SyncOutbox.open(place, limits=limits, bus=EventBus()) as box:
        box.put("note", "dead", {})
        refuse(place)
        done = []
        thread = threading.Thread(target=lambda: done.append(box.put("note", "new", {}).seq))
        thread.start()
        thread.join(0.05)
        waited = not done
        box.discard(1)
        thread.join(60)

    assert (waited, done) == (True, [2])
