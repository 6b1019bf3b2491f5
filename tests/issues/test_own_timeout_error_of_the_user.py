"""A TimeoutError raised by the user's own code was reported as the policy's time-out."""

import pytest

from outlast.errors import DeadlineExceededError
from outlast.policies import Timeout


def test_users_timeout_error_is_the_users(face):
    """The user's TimeoutError comes out as it went in, also when a limit of ours is around it."""
    mine = TimeoutError("mine")
    fn, _ = face.scripted(mine)

    with pytest.raises(TimeoutError) as caught:
        face.call(Timeout(5.0, mode="cooperative", **face.around), fn)

    assert caught.value is mine


def test_ours_is_ours(face):
    """Our own expiry is a DeadlineExceededError, which is a TimeoutError too."""
    with pytest.raises(DeadlineExceededError) as caught:
        face.call(Timeout(5.0, mode="cooperative", **face.around), face.slow(9.0))

    assert isinstance(caught.value, TimeoutError)
