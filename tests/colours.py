"""In how many colours a test of the outbox is played."""

import pytest

from outlast.outbox import SyncOutbox

one_colour = pytest.mark.parametrize("face", [SyncOutbox], ids=["sync"], indirect=True)
"""For what lies below the two faces and is the same behind both."""
