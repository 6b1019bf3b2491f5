from __future__ import annotations

import pytest

from outlast.engines.op import Applied, AuthNeeded, Busy, Gone, InDoubt, NotApplied, Rejected, Stale
from outlast.events import CallRejected, EventBus
from outlast.outbox import OriginGate
from outlast.policies import CircuitBreaker, CircuitState
from outlast.testing import ManualClock, Recorder

QUOTA = Busy("429", whole_origin=True)


class World:
    """Hold a gate on a clock that is moved by hand."""

    def __init__(self, breaker=None):
        self.clock = ManualClock()
        self.bus = EventBus()
        self.gate = OriginGate(self.clock, self.bus, breaker)

    def answer(self, *answers):
        """Send one op for each answer."""
        for answer in answers:
            (permit,) = self.gate.permits(1)
            self.gate.judge(permit, answer)

    def open(self):
        self.answer(*[InDoubt("cut")] * 5)


@pytest.fixture
def world():
    """Make a gate with a circuit of its own."""
    return World()


def test_an_origin_that_answers_gets_as_many_as_asked_for(world):
    """While the circuit is closed, only concurrency limits what is sent."""
    assert (len(world.gate.permits(8)), world.gate.permits(0), world.gate.closed_for()) == (8, [], 0.0)


@pytest.mark.parametrize(
    "answer", [NotApplied("refused"), InDoubt("cut"), Busy("503"), Busy("500", in_doubt=True)], ids=str
)
def test_failures_in_a_row_open_the_circuit(world, answer):
    """Then nothing is claimed until it is time for a probe."""
    world.answer(*[answer] * 5)

    assert (world.gate.permits(8), world.gate.closed_for()) == ([], 1.0)


@pytest.mark.parametrize(
    "answer", [Applied(), Stale("412"), Gone("404"), Rejected("400"), AuthNeeded("401")], ids=lambda a: type(a).__name__
)
def test_an_answer_proves_that_the_server_lives(world, answer):
    """Whatever it thinks of the op, it breaks a row of failures."""
    world.answer(*[InDoubt("cut")] * 4, answer, *[InDoubt("cut")] * 4)

    assert world.gate.breaker.state is CircuitState.CLOSED


def test_a_quota_is_no_failure(world):
    """However often it is told to wait, the circuit stays closed; nor does it hide failures."""
    world.answer(*[QUOTA] * 20)
    calm = world.gate.breaker.state
    world.answer(*[InDoubt("cut")] * 4, QUOTA, InDoubt("cut"))

    assert (calm, world.gate.breaker.state) == (CircuitState.CLOSED, CircuitState.OPEN)


def test_a_pause_holds_everything_back_for_its_time(world):
    """A shorter one does not cut it."""
    world.gate.pause(10.0)
    world.gate.pause(3.0)

    held = (world.gate.permits(8), world.gate.closed_for())
    world.clock.advance(10.0)

    assert (held, len(world.gate.permits(8)), world.gate.closed_for()) == (([], 10.0), 8, 0.0)


def test_one_probe_goes_after_an_outage(world):
    """Its success lets all go; its failure closes the gate for longer."""
    world.open()
    world.clock.advance(1.0)
    (probe,) = world.gate.permits(8)
    meanwhile = world.gate.permits(8)
    world.gate.judge(probe, InDoubt("cut"))
    longer = world.gate.closed_for()
    world.clock.advance(2.0)
    (probe,) = world.gate.permits(8)
    world.gate.judge(probe, Applied())

    assert (meanwhile, longer, len(world.gate.permits(8))) == ([], 2.0, 8)


def test_a_probe_that_meets_a_quota_opens_the_circuit_again(world):
    """A server that has just come back and asks for patience is not to be flooded."""
    world.open()
    world.clock.advance(1.0)

    world.answer(QUOTA)

    assert world.gate.breaker.state is CircuitState.OPEN


def test_a_probe_that_was_not_used_gives_its_place_back(world):
    """A gate whose only probe had nothing to send does not stay closed."""
    world.open()
    world.clock.advance(1.0)
    (probe,) = world.gate.permits(8)

    probe.ignore()

    assert len(world.gate.permits(8)) == 1


def test_recovery_is_told_once(world):
    """It is news only after trouble, and only when the circuit is closed again."""
    told = [world.gate.recovered()]
    world.open()
    told.append(world.gate.recovered())
    world.clock.advance(1.0)
    told.append(world.gate.recovered())
    world.answer(Applied())
    told += [world.gate.recovered(), world.gate.recovered()]

    assert told == [False, False, False, True, False]


def test_recovery_by_somebody_elses_call_counts():
    """A shared circuit that a read has closed lets the writes go."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, success_threshold=1, open_for=5.0, clock=clock, bus=EventBus())
    world = World(breaker)
    breaker.record_failure()
    first = world.gate.recovered()
    clock.advance(5.0)

    breaker.call(len, "")

    assert (first, world.gate.recovered()) == (False, True)


def test_asking_in_vain_is_not_told_as_a_refusal(world):
    """The loop asks in every turn; nobody suffers, so nothing is counted and no event is published."""
    world.open()
    world.clock.advance(1.0)
    with Recorder(world.bus, CallRejected) as seen:
        world.gate.permits(8)
        world.gate.permits(8)

    assert (seen.names, world.gate.breaker.snapshot().rejected) == ([], 0)


def test_a_circuit_that_opens_between_question_and_answer_is_no_error(world, monkeypatch):
    """Another thread may fail in just that moment."""
    world.open()
    monkeypatch.setattr(world.gate.breaker, "is_tripped", lambda: False)
    monkeypatch.setattr(world.gate.breaker, "cooldown_remaining", lambda: 0.0)

    assert world.gate.permits(8) == []
