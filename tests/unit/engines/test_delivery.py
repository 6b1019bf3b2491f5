import pytest

from outlast.engines import Backoff, Jitter
from outlast.engines.delivery import (
    Course,
    History,
    after_asking,
    after_look,
    after_sending,
    course,
    may_be_applied,
)
from outlast.engines.op import (
    Accepted,
    Applied,
    AskCredentials,
    AuthNeeded,
    Await,
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
)

POLICY = DeliveryPolicy(
    backoff=Backoff(base=2.0, cap=60.0, jitter=Jitter.NONE), max_retry_after=100.0, max_refusals=1, max_deaths=3,
    key_ttl=1000.0, accepted_for=500.0,
)  # fmt: skip
WALL = 10_000.0


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(History(), Course.SEND, id="new"),
        pytest.param(History(expires=WALL), Die("it expired before it was delivered"), id="expired-unsent"),
        pytest.param(History(expires=WALL + 1), Course.SEND, id="not-expired"),
        pytest.param(
            History(sent=True, first_sent=WALL, expires=1.0),
            Die("it expired before it was delivered"),
            id="expired-known",
        ),
        pytest.param(History(sent=True, doubt=True, first_sent=WALL, expires=1.0), Course.EXPIRED, id="expired-doubt"),
        pytest.param(History(sent=True, accepted=WALL, expires=1.0), Course.EXPIRED, id="expired-accepted"),
        pytest.param(History(sent=True, accepted=WALL - 500.0), Course.ASK, id="accepted"),
        pytest.param(History(sent=True, accepted=WALL - 501.0), Course.OVERDUE, id="accepted-long-ago"),
        pytest.param(History(sent=True, doubt=True, first_sent=WALL - 1000.0), Course.SEND, id="key-known"),
        pytest.param(History(sent=True, doubt=True, first_sent=WALL - 1001.0), Course.FORGOTTEN, id="key-forgotten"),
        pytest.param(History(sent=True, first_sent=0.0), Course.SEND, id="no-doubt"),
        pytest.param(History(rebased=True), Course.MERGE, id="based-on-what-never-came-to-be"),
        pytest.param(History(sent=True, doubt=True, first_sent=WALL, unreported=3), Course.SEND, id="three-deaths"),
        pytest.param(
            History(sent=True, doubt=True, first_sent=WALL, unreported=4),
            Die("poison: death 4 of its process while it was being sent; 3 are forgiven; it may have taken effect"),
            id="poison",
        ),
    ],
)
def test_course(history, expected):
    """The history of an op decides what is done when its turn comes."""
    assert course(POLICY, history, WALL) == expected


@pytest.mark.parametrize(
    ("way", "found", "expected"),
    [
        *[(way, Found(True, "e"), Deliver("e")) for way in (Course.FORGOTTEN, Course.EXPIRED, Course.OVERDUE)],
        (Course.FORGOTTEN, Found(False), None),
        (Course.FORGOTTEN, Missing(), None),
        (Course.EXPIRED, Found(False), Die("it expired, and the server does not hold it")),
        (Course.EXPIRED, Missing(), Die("it expired, and the server does not hold it")),
        (
            Course.OVERDUE,
            Missing(),
            Conflict("the server accepted it and never said that it was done; it does not hold it"),
        ),
        (Course.EXPIRED, Unreadable("500"), Postpone(4.0, "it expired; reading back failed: 500")),
        (
            Course.FORGOTTEN,
            Unreadable("405", permanent=True),
            Conflict("the server may have forgotten its key; it may have taken effect, and cannot be read back: 405"),
        ),
    ],
    ids=repr,
)
def test_after_look(way, found, expected):
    """What reading back gave decides before anything is sent."""
    assert after_look(POLICY, way, Verb.PUT, 2, found, chance=0.5) == expected


def test_a_delete_of_what_is_missing_is_done():
    """Whatever the reason for looking: what a delete wanted is so."""
    assert after_look(POLICY, Course.EXPIRED, Verb.DELETE, 1, Missing(), chance=0.5) == Deliver()


@pytest.mark.parametrize(
    ("answer", "history", "expected"),
    [
        pytest.param(Rejected("400"), History(), Postpone(4.0, "400"), id="forgiven"),
        pytest.param(Rejected("400"), History(refused=1), Die("400"), id="refused-too-often"),
        pytest.param(Gone("404"), History(), Die("there is no such place on the server: 404"), id="no-refusal"),
        pytest.param(InDoubt("cut"), History(expires=WALL + 1.5), Postpone(1.5, "cut"), id="wait-ends-with-the-op"),
        pytest.param(InDoubt("cut"), History(expires=WALL - 1.5), Postpone(0.0, "cut"), id="expired-while-it-was-sent"),
        pytest.param(InDoubt("cut"), History(expires=WALL + 9.0), Postpone(4.0, "cut"), id="wait-is-shorter"),
        pytest.param(
            Busy("429", 60.0, whole_origin=True),
            History(expires=WALL + 1.5),
            Postpone(60.0, "429", pause_origin=True),
            id="the-rest-of-an-origin-does-not-end-with-one-op",
        ),
        pytest.param(Applied("e"), History(expires=1.0), Deliver("e"), id="late-but-done"),
        pytest.param(Accepted("u", 200.0), History(), Await("u", 100.0), id="accepted"),
        pytest.param(Accepted("u"), History(), Await("u", 4.0), id="accepted-without-a-wish"),
    ],
)
def test_after_sending(answer, history, expected):
    """The budgets are counted into what an answer means."""
    assert after_sending(POLICY, Verb.CREATE, 2, answer, history, wall=WALL, chance=0.5) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Applied("e"), Deliver("e")),
        (Accepted(None, 9.0), Await(None, 9.0)),
        (NotApplied("refused"), Await(None, 4.0)),
        (InDoubt("cut"), Await(None, 4.0)),
        (Busy("503", retry_after=1e6), Await(None, 100.0)),
        (Busy("503"), Await(None, 4.0)),
        (Busy("429", 60.0, whole_origin=True), Await(None, 60.0, pause_origin=True)),
        (Gone("404"), Compare("the server had accepted it, and then: 404")),
        (Stale("409"), Compare("the server had accepted it, and then: 409")),
        (Rejected("no"), Die("the server had accepted it, and then: no")),
        (AuthNeeded("401"), AskCredentials("401")),
    ],
    ids=repr,
)
def test_after_asking(answer, expected):
    """A server that was asked about what it had accepted is asked again, believed, or looked at."""
    assert after_asking(POLICY, Verb.PUT, 2, answer, 0.5) == expected


@pytest.mark.parametrize(
    ("answer", "certain"),
    [
        *[(one, True) for one in (Applied(), Accepted(), InDoubt("cut"), Busy("500", in_doubt=True))],
        *[(one, False) for one in (NotApplied("no"), Busy("503"), Stale("412"), Gone("404"), Rejected("400"))],
        (AuthNeeded("401"), False),
    ],
    ids=repr,
)
def test_doubt(answer, certain):
    """An answer may raise a doubt and never ends one."""
    assert may_be_applied(answer, doubt=False) is certain
    assert may_be_applied(answer, doubt=True) is True


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize(
    "history",
    [
        pytest.param(History(), id="new"),
        pytest.param(History(sent=True, doubt=True, unreported=2, refused=1, expires=WALL - 1.0), id="troubled"),
    ],
)
@pytest.mark.parametrize("etag", [None, '"1"'])
def test_what_was_applied_is_delivered_whatever_was_before(verb, history, etag):
    """Neither the op nor what is known of it changes what this answer means, so one look serves a whole batch."""
    found = {
        attempt: after_sending(POLICY, verb, attempt, Applied(etag), history, wall=WALL, chance=0.5)
        for attempt in (1, 7)
    }

    assert found == {1: Deliver(etag), 7: Deliver(etag)}
    assert may_be_applied(Applied(etag), doubt=False)
