"""A retry, a fallback or a hedge raised FrozenInstanceError in place of the user's frozen dataclass."""

from dataclasses import dataclass

import pytest

from outlast.policies import Fallback, Hedge, Retry


@dataclass(frozen=True)
class NotFoundError(Exception):
    """Takes no notes, since that would change it."""

    key: str


class OddlyNotedError(Exception):
    """Takes no notes either: it has put something else in their place."""

    __notes__ = "nothing to add"


@pytest.mark.parametrize("error", [NotFoundError("a"), OddlyNotedError("b")], ids=["frozen", "odd"])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda around: Retry(2, on=Exception, backoff=0, **around), id="retry"),
        pytest.param(lambda around: Fallback(function=again, on=Exception, **around), id="fallback"),
        pytest.param(lambda around: Hedge(delay=0.0, idempotent=True, **around), id="hedge"),
    ],
)
def test_the_users_exception_comes_out(face, make, error):
    """Where a note cannot be added, there is none, and the exception is the one that was raised."""
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)) as caught:
        face.call(make(face.around), fn)

    assert caught.value is error


def again(error):
    """Fail as the call did."""
    raise error
