import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from cache_faces import AsyncFace, SyncFace


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request):
    """The kind of cache to run a scenario with, on a real event loop and real files."""
    face = request.param(real=True)
    yield face
    face.finish()


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"
