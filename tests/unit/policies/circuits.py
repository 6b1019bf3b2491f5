"""Breakers in the world of a scenario, and calls that end as told."""

import contextlib

from outlast.errors import CircuitOpenError
from outlast.policies import CircuitBreaker, CircuitState, SlowCalls

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
SLOW = SlowCalls(0.5, slower_than=1.0, over_calls=4, min_calls=2)


def make(face, **options):
    """Make a breaker that opens for 30 s, after 3 failures unless told otherwise."""
    trip = {} if "trip" in options else {"failure_threshold": 3}
    return CircuitBreaker(**{**trip, "open_for": 30.0, **face.around, **options})


def throw(error):
    """Raise, as an expression."""
    raise error


def refused(face, breaker):
    """Tell whether a call is refused."""
    fn, script = face.scripted("fine")
    try:
        face.call(breaker, fn)
    except CircuitOpenError:
        return script.calls == 0
    return False


def outcome(face, letter):
    """Make a function that ends as a letter says."""
    if letter == "L":
        return face.slow(1.5)
    return face.scripted(ConnectionError("down") if letter == "F" else "fine")[0]


def decorated(face, breaker):
    """Run a call of a function that was decorated once."""
    ends = []

    if face.colour == "sync":

        def fn():
            return ends[0]()
    else:

        async def fn():
            return await ends[0]()

    wrapped = breaker(fn)

    def run(letter):
        ends[:] = [outcome(face, letter)]
        with contextlib.suppress(ConnectionError):
            face.run(wrapped)

    return run
