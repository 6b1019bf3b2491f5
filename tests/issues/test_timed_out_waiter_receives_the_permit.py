"""A waiter that had timed out was granted a permit that nobody gave back; capacity went to zero (failsafe-lib #393)."""

import pytest

from outlast.errors import BulkheadFullError
from outlast.policies import Bulkhead


def test_a_slot_never_goes_to_one_who_left(face):
    """After any number of waits in vain the slot that comes back is free for the next caller."""
    bulkhead = Bulkhead(1, max_wait=1.0, **face.around)
    holder = bulkhead.guard()
    holder.__enter__()
    fn, _ = face.scripted("fine")
    for _ in range(5):
        with pytest.raises(BulkheadFullError):
            face.call(bulkhead, fn)

    holder.__exit__(None, None, None)

    assert bulkhead.snapshot().running == 0
    assert face.call(bulkhead, fn) == "fine"
    assert len(bulkhead.gate.engine.free) == 1
