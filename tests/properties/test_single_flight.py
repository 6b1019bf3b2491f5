"""Flights against a small model: who shares, who leaves, and no circle is ever closed."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.engines.single_flight import FlightEngine

KEYS = st.integers(0, 3)
PICK = st.integers(0, 1000)


class FlightMachine(RuleBasedStateMachine):
    """Callers that join from outside and from inside of the work, work that ends, callers that leave."""

    def __init__(self):
        super().__init__()
        self.engine = FlightEngine()
        self.flying = {}
        self.calls = []
        self.started = self.joined = 0

    def waits_for(self, flight, target):
        """Tell, from the list of calls alone, whether a flight's work waits for another flight."""
        ahead, seen = [flight], []
        while ahead:
            found = ahead.pop()
            if found is target:
                return True
            if found not in seen:
                seen.append(found)
                ahead += [inner for inner, inside in self.calls if inside and inside[-1] is found]
        return False

    def chains(self):
        """Return from where a call can come: outside, or the work of a flight, entered by its first caller."""
        return [(), *(inside for inside in self.inside.values())]

    @property
    def inside(self):
        """Map each flight under way to what its work is inside of."""
        return {key: chain for key, (_, chain) in self.flying.items()}

    @rule(key=KEYS, pick=PICK)
    def join(self, key, pick):
        """Call, from outside or from the work of a flight."""
        chains = self.chains()
        inside = chains[pick % len(chains)]
        known = self.flying.get(key)
        flight, new = self.engine.join(key, inside)
        if known is None:
            assert new
            self.started += 1
            self.flying[key] = flight, (*inside, flight)
        elif any(self.waits_for(known[0], outer) for outer in inside):
            assert flight is None
            return
        else:
            assert flight is known[0]
            assert not new
            self.joined += 1
        self.calls.append((flight, inside))

    @precondition(lambda self: self.calls)
    @rule(pick=PICK)
    def leave(self, pick):
        """Take one caller off; the last one ends the flight."""
        flight, inside = self.calls.pop(pick % len(self.calls))
        last = self.engine.leave(flight, inside)
        assert last == all(other is not flight for other, _ in self.calls)
        if last:
            self.gone(flight)

    @precondition(lambda self: self.flying)
    @rule(pick=PICK)
    def land(self, pick):
        """End the work of a flight; a later call with its key starts anew."""
        key = sorted(self.flying)[pick % len(self.flying)]
        flight = self.flying[key][0]
        self.engine.land(flight)
        self.gone(flight)

    def gone(self, flight):
        """Strike a flight off the model; calls out of its work end with it."""
        if self.flying.get(flight.key, (None,))[0] is flight:
            del self.flying[flight.key]

    @invariant()
    def counts(self):
        """Every caller and every flight is accounted for."""
        shot = self.engine.snapshot()
        assert (shot.flying, shot.waiting) == (len(self.flying), len(self.calls))
        assert (shot.started, shot.joined) == (self.started, self.joined)
        assert self.engine.idle == (not self.calls and not self.flying)

    @invariant()
    def no_circles(self):
        """No flight's work waits for itself."""
        for flight in {flight for flight, _ in self.calls}:
            inner = [other for other, inside in self.calls if inside and inside[-1] is flight]
            assert not any(self.waits_for(other, flight) for other in inner)


FlightMachine.TestCase.settings = settings(stateful_step_count=30)


class TestFlight(FlightMachine.TestCase):
    """Run the machine."""
