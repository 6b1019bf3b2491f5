from __future__ import annotations

import asyncio

import pytest

from commands import Result
from delivering import SOON
from outlast import cli
from outlast.events import EventBus
from outlast.outbox import Applied, Found, InDoubt, Rejected, Stale, SyncOutbox, Verb, Write
from outlast.sync_engine import CallableTransport, ConflictPolicy, Runner
from stores import SqlitePlace

ANSWERS = {"dead": Rejected("422 no [bold]such[/] field"), "conflict": Stale("412"), "doubt": InDoubt("it broke off")}


@pytest.fixture
def outbox(capsys, monkeypatch):
    """Run `outlast outbox` in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        with pytest.raises(SystemExit) as caught:
            cli.main(["outbox", *map(str, words)])
        said = capsys.readouterr()
        return Result(int(caught.value.code or 0), said.out, said.err)

    return run


async def read_back(op):
    """Be a server that holds something else."""
    return Found(equal=False, etag='"9"', body=b'{"n":3}')


def deliver(box, answers=ANSWERS):
    """Deliver to a server that refuses some entities; what is in doubt is left."""

    async def send(op):
        if isinstance(answers.get(op.entity), InDoubt):
            asked.set()
        return answers.get(op.entity, Applied('"1"'))

    async def run():
        transport = CallableTransport(send, read_back=read_back)
        async with Runner(box, transport, policy=SOON, conflicts={"note": ConflictPolicy()}) as runner:
            loop = asyncio.ensure_future(runner.run_until_idle())
            await asyncio.wait([loop, asyncio.ensure_future(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
            if "doubt" in {status.entity for status in box.list()}:
                while box.counts().open > 1:  # noqa: ASYNC110 - it comes from threads
                    await asyncio.sleep(0.005)
                loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)

    asked = asyncio.Event()
    asyncio.run(run())


def fill(place):
    """Make an outbox with a write of each state: 1 delivered, 2 dead, 3 conflicting, 4 in doubt, 5 ready."""
    with SyncOutbox.open(place, bus=EventBus()) as box:
        for entity in ("fine", "dead", "conflict", "doubt"):
            box.put("note", entity, {"n": 2}, if_match='"1"', base={"n": 1})
        deliver(box)
        box.enqueue(Write(verb=Verb.PUT, kind="letter", entity="ready", body=b"\xff\x00", content_type="x/y"))
    return place


@pytest.fixture
def filled(place):
    """An outbox with a write of each state, on each store."""
    return fill(place)


@pytest.fixture(scope="module")
def filled_file(tmp_path_factory):
    """An outbox with a write of each state, in a file, for tests that change nothing."""
    return fill(SqlitePlace(tmp_path_factory.mktemp("filled") / "app.db"))


@pytest.fixture(scope="module")
def long_words(tmp_path_factory):
    """An outbox with a conflict about a long text, under a long name."""
    place = SqlitePlace(tmp_path_factory.mktemp("long") / "app.db")
    with SyncOutbox.open(place, bus=EventBus()) as box:
        box.put("note", "conflict", {"n": "x" * 100}, target="/" + "x" * 100)
        deliver(box)
        box.put("note", "x" * 100, {})
    return place
