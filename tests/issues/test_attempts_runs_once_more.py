"""`attempts=3` ran the call four times: once, and three times again."""

import pytest

from outlast.policies import Retry


@pytest.mark.parametrize("attempts", [1, 2, 3, 10])
def test_attempts_are_the_total(face, attempts):
    """`attempts` is the number of calls, the first included."""
    fn, script = face.scripted(ConnectionError())

    with pytest.raises(ConnectionError):
        face.call(Retry(attempts=attempts, **face.around), fn)

    assert script.calls == attempts
