import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from cache_faces import AsyncFace, SyncFace


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request):
    """The kind of cache to run a scenario with, in virtual time."""
    face = request.param()
    yield face
    face.finish()
