"""A retry inside another, here or at the caller: attempts do not multiply."""

import pytest
from retries import make, notes

from outlast.policies import is_retried_above, retried_above


def nested(face, inner=None, outer=None):
    """Put a retry around a retry around what always fails; return both and the script."""
    fn, script = face.scripted(ConnectionError("down"))
    inside = make(face, backoff=0.0, **(inner or {}))(fn)
    outside = make(face, backoff=0.0, **(outer or {}))
    with pytest.raises(ConnectionError) as caught:
        face.call(outside, inside)
    return script.calls, caught.value


def test_nested_retries_do_not_multiply(face):
    """What a retry further in gave up is left alone further out: three calls, not nine."""
    calls, error = nested(face, {"name": "inner"}, {"name": "outer"})

    assert calls == 3
    assert [note.split(":")[0] for note in notes(error)] == ["outlast inner", "outlast outer"]
    assert "a retry further in gave it up already" in notes(error)[1]


def test_they_multiply_when_told_to(face):
    """`stand_down=False` on the outer one tries again what the inner one gave up."""
    assert nested(face, outer={"stand_down": False})[0] == 9


def test_one_attempt_inside_marks_nothing(face):
    """An inner retry that never tries again leaves the retrying to the outer one."""
    assert nested(face, inner={"attempts": 1})[0] == 3


def test_what_the_inner_one_does_not_want_is_left_to_the_outer(face):
    """Each of two retries with errors of their own tries its own again."""
    assert nested(face, inner={"on": KeyError})[0] == 3


def test_depth_does_not_multiply(face):
    """Five retries in one another make as many calls as one."""
    fn, script = face.scripted(ConnectionError("down"))
    for _ in range(5):
        fn = make(face, backoff=0.0)(fn)
    with pytest.raises(ConnectionError):
        face.run(fn)

    assert script.calls == 3


@pytest.mark.parametrize("how", ["cause", "group"])
def test_mark_is_seen_through(face, how):
    """The outer retry finds the mark in the cause of an exception and in a group."""
    fn, script = face.scripted(ConnectionError("down"))
    inside = make(face, backoff=0.0)(fn)

    def wrap(error):
        if how == "cause":
            raise TimeoutError("mine") from error
        raise ExceptionGroup("g", [error]) from None

    def body():
        try:
            return inside()
        except ConnectionError as error:
            wrap(error)

    async def abody():
        try:
            return await inside()
        except ConnectionError as error:
            wrap(error)

    outer = make(face, backoff=0.0, on=lambda error: True)
    with pytest.raises(Exception, match=r"mine|g"):
        face.call(outer, abody if face.colour == "async" else body)

    assert script.calls == 3


def test_old_marks_do_not_count(face):
    """An exception object that is raised again in a later call is tried again as at first."""
    error = ConnectionError("constant")
    fn, script = face.scripted(error)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.call(make(face, backoff=0.0), fn)

    assert script.calls == 6


class SlottedError(Exception):
    """An exception that takes no attributes."""

    def __setattr__(self, name, value):
        """Refuse."""
        if name.startswith("__outlast"):
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_exception_without_room_for_a_mark(face):
    """An exception that cannot be marked is raised as it is; the outer retry then tries it again."""
    fn, script = face.scripted(SlottedError())
    inside = make(face, on=SlottedError, backoff=0.0)(fn)
    with pytest.raises(SlottedError):
        face.call(make(face, on=SlottedError, backoff=0.0), inside)

    assert script.calls == 9


@pytest.mark.parametrize(("stand_down", "calls"), [(True, 1), (False, 3)])
def test_retried_above(face, stand_down, calls):
    """Where the caller has said that it retries, one attempt is made, unless told otherwise."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, stand_down=stand_down)
    with retried_above():
        said = is_retried_above()
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert script.calls == calls
    assert (said, is_retried_above()) == (True, False)
