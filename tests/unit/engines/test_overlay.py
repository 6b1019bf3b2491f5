import pytest

from outlast.engines.json_values import ABSENT
from outlast.engines.op import Verb
from outlast.engines.overlay import LocalOp, OverlayEngine, Seen, effect_of


def patch(seq, **body):
    """Return a patch of the one note."""
    return LocalOp(seq, "n1", Verb.PATCH, body)


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        (Verb.CREATE, ABSENT, {"m": 2}),
        (Verb.CREATE, {"n": 1}, {"m": 2}),
        (Verb.PUT, {"n": 1}, {"m": 2}),
        (Verb.PATCH, {"n": 1}, {"n": 1, "m": 2}),
        (Verb.PATCH, ABSENT, ABSENT),
        (Verb.DELETE, {"n": 1}, ABSENT),
        (Verb.POST, {"n": 1}, {"n": 1}),
    ],
)
def test_effects(verb, before, after):
    """Each verb shows what it will have done."""
    assert effect_of(before, LocalOp(1, "n1", verb, {"m": 2})) == after


def test_rolling_back_keeps_what_came_later():
    """The seed's way, putting a copy back, would undo the second edit and the remote one too."""
    engine = OverlayEngine()
    engine.queue(patch(1, title="mine"))
    engine.queue(patch(2, done=True))
    engine.remove(1)

    assert engine.view("n1", {"title": "remote", "done": False}) == Seen({"title": "remote", "done": True}, (2,))


def test_an_edit_in_place_replaces_the_op():
    """A folded or replayed op shows its new body at its old place."""
    engine = OverlayEngine()
    engine.queue(patch(1, n=1))
    engine.queue(patch(2, m=1))
    engine.queue(patch(1, n=2))

    assert engine.view("n1", {}) == Seen({"n": 2, "m": 1}, (1, 2))


@pytest.mark.parametrize(
    ("pulled", "acked", "dropped"),
    [("v2", "v2", True), ("v3", "v2", False), (3, 2, True), (2, 2, True), (1, 2, False), (None, "v2", False),
     ("v2", None, False)],
)  # fmt: skip
@pytest.mark.parametrize("pull_first", [True, False])
def test_versions(pulled, acked, dropped, pull_first):
    """A pull contains an op by the name of its version, or by a number not below it, whichever is known first."""
    engine = OverlayEngine()
    engine.queue(patch(1, n=1))
    steps = [lambda: engine.land("n1", version=pulled), lambda: engine.acknowledge(1, acked)]
    for step in steps if pull_first else reversed(steps):
        step()

    assert engine.view("n1", {}).local == (() if dropped else (1,))


def test_a_later_version_contains_the_earlier_ones():
    """The ops of an entity are delivered in order."""
    engine = OverlayEngine()
    for seq in (1, 2, 3):
        engine.queue(patch(seq, n=seq))
    engine.acknowledge(1, "v2")
    engine.acknowledge(2, "v3")

    assert engine.land("n1", version="v3")
    assert engine.view("n1", {}).local == (3,)


def test_an_older_pull_is_refused():
    """It began before one that has landed, or shows a lower number."""
    engine = OverlayEngine()
    first, second = engine.start_pull(), engine.start_pull()

    assert engine.land("n1", mark=second)
    assert not engine.land("n1", mark=first)
    assert engine.land("n2", mark=first)
    assert engine.land("n3", version=5)
    assert not engine.land("n3", version=4)


def test_an_echo_before_its_answer():
    """An event with our key shows that the op took effect; it is not replayed over what comes later."""
    engine = OverlayEngine()
    engine.queue(patch(1, n=1))

    assert engine.land("n1", version="v2", includes=1)
    assert engine.view("n1", {"n": 5}) == Seen({"n": 5}, ())
    assert engine.waiting == {1: "n1"}
    engine.acknowledge(1, "v1")
    assert engine.entities == set()


def test_what_is_not_known_is_no_matter():
    """An answer to an op that was never queued here, or a second one, changes nothing."""
    engine = OverlayEngine()
    engine.acknowledge(7, "v1")

    assert engine.remove(7) is None
    assert engine.op(7) is None
    assert engine.view("n1", ABSENT) == Seen(ABSENT, ())


def test_a_kind_may_say_what_its_messages_show():
    """An increment is visible if the overlay is told how."""
    engine = OverlayEngine(lambda value, op: {"n": value["n"] + op.body["add"]})
    engine.queue(LocalOp(1, "n1", Verb.POST, {"add": 2}))

    assert engine.view("n1", {"n": 1}).value == {"n": 3}


def test_what_came_and_went_is_remembered_within_bounds():
    """A write may wait for weeks while others write the same entity; only the last thousand versions are kept."""
    engine = OverlayEngine()
    engine.queue(patch(1, n=1))
    engine.queue(patch(2, m=1))
    for number in range(1500):
        engine.land("n1", version=f"v{number}")

    engine.acknowledge(1, "v700")
    assert engine.view("n1", {}) == Seen({"m": 1}, (2,))
    engine.acknowledge(2, "v400")
    assert engine.view("n1", {}) == Seen({"m": 1}, (2,))
