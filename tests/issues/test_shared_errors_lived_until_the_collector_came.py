"""A failed single flight, and each async one, was kept by a cycle of flight, landing, task, context and traceback."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from outlast.policies import SingleFlight


class Witness:
    """Lives as long as the frame of the call that made it."""


@pytest.fixture(autouse=True)
def no_collector():
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watched(*, fails):
    """Return a body of a call, and the list of what tells whether its frames are alive."""
    alive = []

    def body():
        witness = Witness()
        alive.append(weakref.ref(witness))
        if fails:
            raise ConnectionError

    return body, alive


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "succeeds"])
def test_nothing_of_a_flight_is_kept(fails):
    """When the caller has its answer or its error, nothing of the call is left."""
    body, alive = watched(fails=fails)

    with contextlib.suppress(ConnectionError):
        SingleFlight(key=lambda: 1).call(body)

    assert [each() for each in alive] == [None]


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "succeeds"])
async def test_nothing_of_an_async_flight_is_kept(fails):
    """The same for tasks: neither the call nor the task that flew is left."""
    body, alive = watched(fails=fails)

    async def fly():
        alive.append(weakref.ref(asyncio.current_task()))
        body()

    with contextlib.suppress(ConnectionError):
        await SingleFlight(key=lambda: 1).acall(fly)
    await asyncio.sleep(0)

    assert [each() for each in alive] == [None, None]
