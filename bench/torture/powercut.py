"""Cut the power at every moment: rebuild what the disk may hold then, open it, and look for what was acknowledged."""

import asyncio
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hurry import hurried
from recorder import Disk, Recorder

from outlast.errors import OutlastError
from outlast.events import EventBus, OpDelivered, OpEnqueued
from outlast.outbox import Applied, Outbox, SyncOutbox
from outlast.sync_engine import CallableTransport, Runner

NAME = "app.db"
_CHECKPOINT = 12


@dataclass
class Cuts:
    """What was found in the images."""

    images: int = 0
    moments: int = 0
    writes: int = 0
    syncs: int = 0
    acknowledged: int = 0
    lost: list = field(default_factory=list)  # acknowledged, and gone
    forgotten: list = field(default_factory=list)  # known as delivered, and no longer
    broken: list = field(default_factory=list)  # images that could not be opened whole


def record(durability, *, ops=24, sync_takes=0.0):
    """Queue and deliver with everything recorded, and return the events."""
    with tempfile.TemporaryDirectory() as folder, Recorder() as recorder:
        for _ in range(2):  # the second time the file exists and the log is new
            asyncio.run(_play(Path(folder) / NAME, durability, recorder, ops // 2, sync_takes))
        return recorder.events


async def _play(path, durability, recorder, ops, sync_takes):
    """Queue one after the other, several at once and in groups, deliver meanwhile, checkpoint now and then."""
    bus = EventBus()
    # An event of the bus is told when the future is done, which is no later than anybody awaiting it learns of it.
    bus.subscribe(lambda event: recorder.note("ack", "op", event.seq), OpEnqueued)
    bus.subscribe(lambda event: recorder.note("ack", "receipt", event.seq), OpDelivered)

    # Of the writes that come alone the writer's thread commits the first half, the loop the others.
    with hurried(_CHECKPOINT, ops // 2):
        await _live(path, durability, bus, recorder, ops, sync_takes)


async def _live(path, durability, bus, recorder, ops, sync_takes):
    async def server(_op):
        return Applied()

    async with await Outbox.open(path, durability=durability, bus=bus) as box:
        recorder.sync_takes = sync_takes
        for number in range(ops):
            await box.put("note", f"n{number % 5}", {"number": number, "padding": "x" * 300})
        await asyncio.gather(*(box.put("note", f"m{number}", {"number": number}) for number in range(ops)))
        async with Runner(box, CallableTransport(server), concurrency=4) as runner:
            await runner.run_until_idle()
        await box.put("note", "last", {"waits": True})
        recorder.sync_takes = 0.0


def cut(events, *, most, seed, durability="power"):
    """Open images of up to so many moments, three of each moment, and compare them with what was acknowledged."""
    dice = random.Random(seed)
    steps = [number for number, event in enumerate(events) if event.what != "ack"]
    moments = set(dice.sample(steps, min(len(steps), max(1, most // 3))))
    cuts = Cuts(writes=sum(event.what == "write" for event in events), moments=len(moments))
    cuts.syncs = sum(event.what == "sync" for event in events)
    disk, acks = Disk(), {"op": set(), "receipt": set()}
    for number, event in enumerate(events):
        if number in moments:
            for how in ("none", "some", "some" if dice.random() < 0.8 else "all"):
                _look(cuts, disk.image(dice, how), acks, f"{how} at {number}", durability)
        if event.what == "ack":
            acks[event.file].add(event.at)
        else:
            disk.play(event)
    cuts.acknowledged = len(acks["op"])
    return cuts


def _look(cuts, image, acks, name, durability):
    """Open one image as anybody would after the power is back."""
    cuts.images += 1
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        for file, content in image.items():
            (Path(folder) / file).write_bytes(content)
        try:
            with SyncOutbox.open(Path(folder) / NAME, durability=durability) as box:
                known = {status.seq: status.state.value for status in box.list(limit=100_000)}
                whole = box.core.database.read(lambda db: db.execute("PRAGMA integrity_check(1)").get).result()
        except OutlastError as error:
            whole, known = str(error), {}
        if whole != "ok":
            cuts.broken.append(f"{name}: {whole}")
        cuts.lost += [f"{seq}, {name}" for seq in acks["op"] if seq not in known]
        cuts.forgotten += [f"{seq}, {name}" for seq in acks["receipt"] if known.get(seq) != "delivered"]


def _memory():
    """Return a folder in memory, if the machine has one with room: the images need no disk."""
    memory = Path("/dev/shm")  # noqa: S108 - each image has a folder of its own there
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 26 else None
