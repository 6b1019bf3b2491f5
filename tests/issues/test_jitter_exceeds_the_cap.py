"""Jitter was added after the cap, so that waits were longer than the longest wait."""

import pytest

from outlast.policies import Backoff, Jitter, Retry
from outlast.testing import FixedRandom


@pytest.mark.parametrize("jitter", Jitter)
def test_no_wait_is_longer_than_the_cap(face, jitter):
    """The cap is applied last."""
    backoff = Backoff(base=8.0, cap=10.0, jitter=jitter, amount=1.0)
    fn, _ = face.scripted(ConnectionError())

    with pytest.raises(ConnectionError):
        face.call(Retry(attempts=5, backoff=backoff, random=FixedRandom(0.999), **face.around), fn)

    assert max(face.clock.sleeps) <= 10.0
