from types import SimpleNamespace

from outlast.engines.overlay import Seen, effect_of
from outlast.outbox import OpState, OpStatus, PendingDiff, Verb, Write
from outlast.sync_engine._overlay_core import OverlayCore

SOURCE = SimpleNamespace(
    data_version=lambda: "version",
    diff_pending=lambda kind, contents, places: ("pending", kind, [*places]),
    statuses=lambda *question: question,
)
NOTHING = PendingDiff([], {}, [])


def without(*places):
    """Answer that no op waits at these places."""
    return PendingDiff([], {}, [*places])


def status(state):
    """Return the status of the write at place 1."""
    return OpStatus(
        seq=1, state=state, verb=Verb.PUT, kind="note", entity="n1", attempts=1, reason="", etag=None, at=0.0
    )


def look(core, *answers):
    """Answer the questions of one look in turn; returns the questions."""
    questions, asked = core.look(SOURCE), []
    for answer in (None, *answers):
        asked += [question for question in [next_of(questions, answer)] if question]
    return asked


def next_of(questions, answer):
    """Return the next question, None at the end."""
    try:
        return questions.send(answer)
    except StopIteration:
        return None


def test_a_write_that_is_replayed_while_somebody_looks_stays_visible():
    """Between the list of what waits and the question what became of it, it came back: nothing is rolled back."""
    core = OverlayCore("note", None, effect_of)
    core.wrote([Write(verb=Verb.PUT, kind="note", entity="n1", body=b"{}")], [1])

    asked = look(core, 7, without(1), [status(OpState.READY)])
    assert asked == ["version", ("pending", "note", [1]), (None, 1, 1)]
    assert core.view("n1") == Seen({}, (1,))


def test_an_unchanged_file_is_not_read():
    """A second look asks for the version only."""
    core = OverlayCore("note", None, effect_of)
    look(core, 7, NOTHING)

    assert look(core, 7) == ["version"]


def test_a_write_that_arrives_while_somebody_looks_is_looked_for_again():
    """It may be delivered already; then nothing would ever change any more."""
    core = OverlayCore("note", None, effect_of)
    questions = core.look(SOURCE)
    assert [questions.send(answer) for answer in (None, 7)] == ["version", ("pending", "note", [])]
    core.wrote([Write(verb=Verb.PUT, kind="note", entity="n1", body=b"{}")], [1])
    assert next_of(questions, NOTHING) is None

    questions = core.look(SOURCE)
    assert [questions.send(answer) for answer in (None, 7, without(1))][1:] == [("pending", "note", [1]), (None, 1, 1)]
    core.wrote([Write(verb=Verb.PUT, kind="note", entity="n1", body=b"{}")], [2])
    assert next_of(questions, [status(OpState.DELIVERED)]) is None

    assert look(core, 7, without(2)) == ["version", ("pending", "note", [2]), (None, 2, 1)]


def test_a_write_that_is_known_is_not_replaced_by_a_part_of_itself():
    """What was folded into a known op has its place; its own body is not all of it."""
    core = OverlayCore("note", {"n1": {}}, effect_of)
    core.wrote([Write(verb=Verb.PATCH, kind="note", entity="n1", body=b'{"a":1}')], [1])
    core.wrote([Write(verb=Verb.PATCH, kind="note", entity="n1", body=b'{"b":2}')], [1])

    assert core.view("n1").value == {"a": 1}
