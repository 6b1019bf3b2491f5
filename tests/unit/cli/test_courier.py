"""The transport of push: pace, patience, and no secret in what is stored."""

import pytest

from outlast.cli._courier import Courier, Pacer
from outlast.outbox import (
    Accepted,
    Applied,
    AuthNeeded,
    Busy,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    Op,
    Rejected,
    SealedRequest,
    Stale,
    Unreadable,
    Verb,
)
from outlast.testing import ManualClock

REQUEST = SealedRequest(method="PUT", url="http://host/1")


def op(verb=Verb.PUT):
    """Return an op."""
    return Op(
        seq=1, generation=0, key="k", lane=1, verb=verb, kind="push", entity="1", target=None, body=b"{}",
        content_type="x", if_match=None, created_at=0.0,
    )  # fmt: skip


class Inner:
    """A transport that answers what it is told."""

    origin = "http://host"

    def __init__(self, *answers):
        self.answers = list(answers)

    def seal(self, op):
        return REQUEST

    async def send(self, op, request):
        return self.answers.pop(0)

    async def read_back(self, op, request):
        return self.answers.pop(0)


def courier(*answers, clock=None, headers=None):
    """Return a courier around answers."""
    clock = clock or ManualClock()
    return Courier(Inner(*answers), Pacer(None, clock), headers or {}, clock)


async def test_requests_are_spaced_evenly():
    """At 4 a second the third request goes half a second after the first; a late one has no debt to make good."""
    clock = ManualClock()
    pacer = Pacer(4.0, clock)

    await pacer.turn()
    waits = [pacer._next - clock.now()]
    clock.advance(10.0)
    await pacer.turn()
    waits.append(pacer._next - clock.now())

    assert waits == [0.25, 0.25]


@pytest.mark.parametrize(
    ("answer", "silent"),
    [
        (Applied(), False),
        (Gone("404"), False),
        (Rejected("400"), False),
        (AuthNeeded("401"), False),
        (Stale("412"), True),
        (NotApplied("refused"), True),
        (InDoubt("reset"), True),
        (Busy("503"), True),
    ],
)
async def test_silence_ends_with_a_useful_answer(answer, silent):
    """What settles nothing is no answer; a refused precondition is one only once reading back has told more."""
    clock = ManualClock()
    one = courier(answer, clock=clock)

    await one.send(op(), REQUEST)
    clock.advance(3.0)

    assert one.silent_for == (3.0 if silent else 0.0)


@pytest.mark.parametrize(
    ("found", "silent"),
    [(Found(True), False), (Missing(), False), (Unreadable("403", permanent=True), False), (Unreadable("500"), True)],
)
async def test_reading_back_counts_as_well(found, silent):
    """A server that refuses and cannot be read back gives no useful answer."""
    clock = ManualClock()
    one = courier(Stale("412"), found, clock=clock)

    await one.send(op(), REQUEST)
    clock.advance(2.0)
    await one.read_back(op(), REQUEST)

    assert one.silent_for == (2.0 if silent else 0.0)


async def test_what_was_accepted_is_asked_about():
    """What a monitor says is as useful as an answer, and as clean; a transport that cannot ask says so."""

    class Asking(Inner):
        async def poll(self, op, request, url):
            return self.answers.pop(0)

    clock = ManualClock()
    inner = Asking(Accepted("/jobs/1"), Accepted(), Rejected("failed for hunter2-hunter2"))
    one = Courier(inner, Pacer(None, clock), {"Authorization": "hunter2-hunter2"}, clock)

    await one.send(op(), REQUEST)
    clock.advance(3.0)
    answers = [await one.poll(op(), REQUEST, "/jobs/1") for _ in range(2)]

    assert answers == [Accepted(), Rejected("failed for (secret)")]
    assert one.silent_for == 0.0
    assert await courier().poll(op(), REQUEST, "/jobs/1") == Gone("the transport cannot ask about it")


async def test_refused_message_is_an_answer():
    """A POST cannot be read back, so its 409 settles it."""
    one = courier(Stale("409"))

    await one.send(op(Verb.POST), REQUEST)

    assert one.silent_for == 0.0


async def test_what_the_server_repeats_is_cleaned():
    """No part of a secret gets into a reason, not even the half that a shortened reason ends with."""
    headers = {"Authorization": "Bearer hunter2-hunter2", "Accept": "application/json"}
    said = "401 bad token hunter2-hunter2 for application/json, hunter2-hu"
    one = courier(AuthNeeded(said), Unreadable("x Bearer hunter2-hunter2"), headers=headers)

    answer = await one.send(op(), REQUEST)
    found = await one.read_back(op(), REQUEST)

    assert answer.reason == "401 bad token (secret) for application/json, (secret)"
    assert found.reason == "x (secret)"
    assert one.origin == "http://host"
    assert one.seal(op()) == REQUEST
