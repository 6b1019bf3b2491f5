"""The processes of one side of the play: started, broken, and ended whatever they do."""

from __future__ import annotations

import contextlib
import time

import pytest

from outlast.lab._contestant import Contestant
from outlast.lab.demo import Demo, DemoOptions


@contextlib.asynccontextmanager
async def contestant(folder, module="outlast.lab.plain_app", *options):
    """Make a contestant whose processes end with the block."""
    side = Contestant("plain", module, folder / "plain", options)
    try:
        yield side
    finally:
        await side.close()


async def test_an_api_that_does_not_start_says_why(tmp_path):
    """The last line of its log is in the error."""
    async with contestant(tmp_path) as side:
        with pytest.raises(RuntimeError, match=r"notes_api of plain did not start: .*invalid choice: 'nonsense'"):
            await side.set_up(notes=3, seed=1, plant="nonsense")


async def test_an_application_that_dies_ends_the_play(tmp_path):
    """An application that cannot run is found out at once, with its own words, and not after the whole play."""
    async with contestant(tmp_path, "outlast.lab.no_such_app") as side:
        await side.set_up(notes=3, seed=1, plant=None)
        await side.start_app(seconds=10, epoch=time.time())
        assert not await side.app_ended(10)

        with pytest.raises(
            RuntimeError, match=r"application of plain ended in the middle of the play, code 1: .*No module"
        ):
            side.check_app()


async def test_an_application_that_does_not_end_is_ended(tmp_path):
    """After its last grace an application is killed, and that is no good end."""
    async with contestant(tmp_path) as side:
        await side.set_up(notes=3, seed=1, plant=None)
        await side.start_app(seconds=600, epoch=time.time())

        assert set(side.pids) == {"api", "proxy", "app"}
        assert not await side.app_ended(0.3)
        assert side._app.returncode == -9


async def test_a_play_whose_api_does_not_start_leaves_nothing(tmp_path):
    """A play that fails at its beginning has no process running, and says what failed."""
    play = Demo(DemoOptions(seconds=10, folder=tmp_path / "play", plant="nonsense"))
    with pytest.raises(RuntimeError, match="did not start"):
        await play.play()

    assert all(
        process.returncode is not None for side in play._sides for process in (side._api, side._proxy) if process
    )
