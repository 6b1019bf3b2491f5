"""Why a write does not go is said by name, the nearest cause first, and the cause of that."""

import asyncio

import pytest

from delivering import deliver, opened
from outlast.outbox import (
    Applied,
    Inspection,
    LeaseConfig,
    OpState,
    ProcessingLease,
    Rejected,
    Stale,
    Verb,
    Write,
    explain,
    nobody,
)
from outlast.sync_engine import CallableTransport


def write(entity, **options):
    """Make a write of a note."""
    return Write(verb=Verb.PUT, kind="note", entity=entity, body=b"{}", **options)


def causes(place, seq):
    """Return the causes as (code, place)."""
    with Inspection.open(place) as seen:
        return [(why.code, why.seq) for why in explain(seen, seq)]


async def test_each_cause_has_its_word(place):
    """A lane behind a dead letter, a dependency, a place behind another, an expiry, and that nobody delivers."""
    async with opened(place) as box:
        first, *_ = await box.enqueue(write("dead"), write("fine"))
        await deliver(box, CallableTransport(answer))
        await box.enqueue(write("dead"), write("after", after=first.seq), write("x"), write("x", expires=1e-9))

    assert causes(place, 1) == [("dead", 1)]
    assert causes(place, 2) == [("delivered", 2)]
    assert causes(place, 3) == [("lane held", 3), ("nobody", 0)]
    assert causes(place, 4) == [("after", 4), ("dead", 1), ("nobody", 0)]
    assert causes(place, 5) == [("nobody", 0)]
    assert causes(place, 6) == [("expired", 6), ("lane", 6), ("nobody", 0)]
    with Inspection.open(place) as seen, pytest.raises(LookupError, match="knows no write 99"):
        explain(seen, 99)


async def answer(op):
    """Refuse one entity."""
    return Rejected("422") if op.entity == "dead" else Applied()


SEAL = (
    "INSERT INTO $seal (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash)"
    " VALUES (1, 3, 1, ?, 60, 1, '503 busy', 'PUT', 'http://api/notes/1', '[]', ?)"
)


@pytest.mark.parametrize(
    ("due", "accepted", "expected"),
    [
        pytest.param(9e9, None, ["due", "paused"], id="due"),
        pytest.param(1.0, None, ["paused"], id="was-due"),
        pytest.param(None, None, ["sent", "paused"], id="on-the-wire"),
        pytest.param(9e9, '{"url": "http://api/job", "since": 1}', ["accepted", "paused"], id="accepted"),
    ],
)
async def test_what_was_sent_says_how_it_goes_on(place, due, accepted, expected):
    """When it is due, that it is on the wire, that the server has it, that its origin asked for a rest."""
    async with opened(place) as box:
        await box.enqueue(write("a"))
    place.execute(SEAL, due, b"")
    place.execute("UPDATE $seal SET accepted = ?", accepted)
    for origin in ("http://api", "http://other"):
        place.execute("INSERT INTO $origin (name, until, delay, reason) VALUES (?, 9e9, 60, '429')", origin)
    place.execute("INSERT INTO $lease VALUES ('deliver', 'me', 1, 'another boot', 0, 30, ?)", True)

    assert causes(place, 1) == [*((code, 1) for code in expected), ("nobody", 0)]


@pytest.mark.parametrize(("silent", "expected"), [(1000.0, []), (6000.0, ["not been heard of for 60"])])
async def test_a_process_that_is_silent_is_told_of_before_its_lease_ends(place, silent, expected):
    """It is killed, and who looks does not have to wait until another one may take over."""
    async with opened(place) as box:
        lease = ProcessingLease(box.core.database, LeaseConfig(beat_every=3600.0, ttl=10_800.0))
        await asyncio.to_thread(lease.acquire)
        place.execute("UPDATE $lease SET beat = beat - ?", silent)
        with Inspection.open(place) as seen:
            found = [why.text for why in nobody(seen)]
        await asyncio.to_thread(lease.release)

    assert [text in said for text, said in zip(expected, found, strict=True)] == [True] * len(expected)


async def test_a_process_that_delivers_leaves_nothing_to_explain(place):
    """The head of a lane, with a runner at work, is ready."""
    async with opened(place) as box:
        codes = []

        async def send(op):
            if op.entity == "a":
                codes.extend(causes(place, 2))
            return Applied() if op.entity == "a" else Stale("412")

        await box.enqueue(write("a"), write("b"))
        await deliver(box, CallableTransport(send), concurrency=1)
        conflict = await box.conflict(2)

    assert codes == [("ready", 2)]
    assert conflict.state is OpState.CONFLICT


async def test_what_is_in_the_way_twice_is_explained_once(place):
    """A write may be behind another one in its lane and come after it, too; a row of such writes is soon explained."""
    async with opened(place) as box:
        last = None
        for _ in range(24):
            ticket = await box.put("note", "a", {}, after=last)
            last = ticket.seq

    found = causes(place, last)

    assert found[:4] == [("lane", 24), ("lane", 23), ("lane", 22), ("lane", 21)]
    assert sorted(found[:-1]) == sorted((code, seq) for seq in range(4, 25) for code in ("lane", "after"))
