"""Give each test a world of its own."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from outlast.lab.notes_api import create_app
from outlast.lab.proxy import FaultProxy

sys.path.append(str(Path(__file__).parent))

from store_world import World, serving


@pytest.fixture
def world(request, tmp_path):
    """Return how to enter a world; its outbox lies on each store in turn if the test also asks for a `place`."""
    place = request.getfixturevalue("place") if "place" in request.fixturenames else tmp_path / "outbox.db"

    @contextlib.asynccontextmanager
    async def enter(**proxy_options):
        world = World(tmp_path, place)
        try:
            async with serving(create_app(world.book)) as port, FaultProxy("127.0.0.1", port, **proxy_options) as proxy:
                world.proxy = proxy
                yield world
        finally:
            world.book.close()

    return enter
