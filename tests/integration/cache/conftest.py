import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from cache_faces import AsyncFace, SyncFace


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request):
    """The kind of cache to run a scenario with, on a real event loop and real files."""
    face = request.param(real=True)
    yield face
    face.finish()
