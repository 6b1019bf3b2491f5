import pytest

from outlast.engines import Backoff, Jitter
from outlast.engines.op import (
    Applied,
    AskCredentials,
    AuthNeeded,
    Busy,
    Compare,
    Conflict,
    Deliver,
    DeliveryPolicy,
    Die,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    Postpone,
    Rejected,
    Stale,
    Unreadable,
    Verb,
    compare,
    settle,
)

POLICY = DeliveryPolicy(backoff=Backoff(base=2.0, cap=60.0, jitter=Jitter.NONE), max_retry_after=100.0, max_compares=2)
CREATE, PUT, PATCH, DELETE, POST = Verb.CREATE, Verb.PUT, Verb.PATCH, Verb.DELETE, Verb.POST


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (Applied("e1", 200), Deliver("e1")),
        (Applied(), Deliver(None)),
        (NotApplied("refused"), Postpone(4.0, "refused")),
        (InDoubt("cut off"), Postpone(4.0, "cut off")),
        (Busy("500", in_doubt=True), Postpone(4.0, "500")),
        (Busy("503", retry_after=1.0), Postpone(4.0, "503")),
        (Busy("503", retry_after=9.0), Postpone(9.0, "503")),
        (Busy("429", retry_after=9.0, whole_origin=True), Postpone(9.0, "429", pause_origin=True)),
        (Busy("503", retry_after=1e6), Postpone(100.0, "503")),
        (Busy("503", retry_after=float("nan")), Postpone(100.0, "503")),
        (Rejected("too large", 413), Die("too large")),
        (AuthNeeded("401"), AskCredentials("401")),
    ],
    ids=repr,
)
def test_answers_that_mean_the_same_for_all(verb, answer, step):
    """Most answers mean the same whatever the op does."""
    assert settle(POLICY, verb, 2, answer, 0.5) == step


@pytest.mark.parametrize("verb", [CREATE, PUT, PATCH, DELETE])
def test_refused_precondition_is_read_back(verb):
    """Where there is an entity it is read back and compared."""
    assert settle(POLICY, verb, 1, Stale("412"), 0.5) == Compare("412")


def test_refused_message_is_a_conflict():
    """A message has nothing to be read back."""
    assert settle(POLICY, POST, 1, Stale("409"), 0.5) == Conflict("409")


@pytest.mark.parametrize(
    ("verb", "step"),
    [
        (DELETE, Deliver()),
        (PUT, Conflict("the entity is gone on the server: 404")),
        (PATCH, Conflict("the entity is gone on the server: 404")),
        (CREATE, Die("there is no such place on the server: 404")),
        (POST, Die("there is no such place on the server: 404")),
    ],
)
def test_gone(verb, step):
    """What is gone is what a delete wanted, a conflict to a change, and a wrong address to the rest."""
    assert settle(POLICY, verb, 1, Gone("404"), 0.5) == step


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize(
    ("found", "step"),
    [
        (Found(equal=True, etag="e2"), Deliver("e2")),
        (Found(equal=False), Conflict("412; the server holds other content")),
        (Unreadable("503"), Postpone(2.0, "412; reading back failed: 503")),
        (Unreadable("no GET", permanent=True), Conflict("412; and it cannot be read back: no GET")),
    ],
    ids=repr,
)
def test_compare(verb, found, step):
    """Equal is delivered, different is a conflict, never overwritten; unreadable is asked again."""
    assert compare(POLICY, verb, 1, found, chance=0.5, reason="412") == step


@pytest.mark.parametrize(
    ("verb", "attempt", "step"),
    [
        (DELETE, 1, Deliver()),
        (CREATE, 2, Postpone(4.0, "412, and yet nothing is there")),
        (CREATE, 3, Conflict("412; the entity is gone on the server")),
        (PUT, 1, Conflict("412; the entity is gone on the server")),
        (PATCH, 1, Conflict("412; the entity is gone on the server")),
    ],
)
def test_nothing_there(verb, attempt, step):
    """A create that was refused although nothing is there is tried again, but not for ever."""
    assert compare(POLICY, verb, attempt, Missing(), chance=0.5, reason="412") == step
