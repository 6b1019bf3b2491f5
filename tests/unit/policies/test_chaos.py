import asyncio
import math
import threading

import pytest

from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DuplicateNameError
from outlast.events import ChaosInjected, ChaosStopped
from outlast.policies import Chaos, ChaosCall, ChaosSnapshot, CircuitBreaker, CircuitState, Pipeline
from outlast.testing import FixedRandom


@pytest.fixture(autouse=True)
def _allowed():
    yield
    Chaos.allow_all()


def make(face, **options):
    """Make a chaos that disturbs every call."""
    return Chaos(**{"rate": 1.0, "enabled": True, "random": FixedRandom(0.5), **face.around, **options})


def test_off_unless_enabled(face):
    """Without `enabled=True` nothing is disturbed until it is started."""
    chaos = make(face, fault=OSError, enabled=False)
    fn, script = face.scripted("fine")

    assert face.call(chaos, fn) == "fine"
    assert chaos.snapshot() == ChaosSnapshot(active=False, why="not enabled", injected=0, rate=1.0)
    assert chaos.idle()
    chaos.start()
    with pytest.raises(OSError, match="injected by chaos"):
        face.call(chaos, fn)
    assert script.calls == 1
    assert not chaos.idle()


MINE = ValueError("mine")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (OSError, OSError, "injected by chaos"),
        (MINE, ValueError, "mine"),
        (lambda call: KeyError(call.args[0]), KeyError, "7"),
    ],
)
def test_fault(face, fault, kind, words):
    """A fault is raised in place of the call; an exception that is raised again and again stays as it is."""
    fn, script = face.scripted("fine")
    chaos = make(face, fault=fault)

    for _ in range(3):
        with pytest.raises(kind, match=words):
            face.call(chaos, fn, 7)

    assert script.calls == 0
    assert chaos.snapshot().injected == 3


def test_result(face):
    """A result is given in place of the call, None too."""
    fn, script = face.scripted("fine")

    assert face.call(make(face, result=None), fn) is None
    assert script.calls == 0


@pytest.mark.parametrize(("latency", "waited"), [(0.5, 0.5), ((1.0, 3.0), 2.0)])
def test_latency(face, latency, waited):
    """A slow call waits first, for a fixed time or one that chance chooses, and then runs."""
    fn, script = face.scripted("fine")

    assert face.call(make(face, latency=latency), fn) == "fine"
    assert (face.clock.sleeps, script.calls) == ([waited], 1)
    event = face.seen.last(ChaosInjected)
    assert (event.what, event.latency) == ("latency", waited)


def test_behaviour(face):
    """A behaviour is run with the call, which then runs."""
    seen = []
    fn, _ = face.scripted("fine")

    assert face.call(make(face, behaviour=seen.append), fn, 1, b=2) == "fine"
    assert [(call.args, call.kwargs) for call in seen] == [((1,), {"b": 2})]
    assert "fn" in seen[0].name


async def test_async_behaviour():
    """A behaviour of an async call is awaited; around a sync call it is refused."""
    seen = []

    async def behave(call):
        await asyncio.sleep(1)
        seen.append(call.name)

    async def work():
        return "fine"

    chaos = Chaos(rate=1.0, behaviour=behave, enabled=True)
    assert await chaos(work)() == "fine"
    assert seen == [work.__qualname__]
    with pytest.raises(ConfigError, match="something to await"):
        chaos.call(len, "fine")


def test_several_at_once(face):
    """Latency and behaviour come before the fault; one event names all."""
    log = []
    chaos = make(face, latency=1.0, behaviour=lambda call: log.append(face.clock.now()), fault=OSError)
    fn, _ = face.scripted("fine")

    with pytest.raises(OSError, match="chaos"):
        face.call(chaos, fn)

    assert log == [1001.0]
    assert face.seen.last(ChaosInjected).what == "latency+behaviour+fault"


def test_rate(face):
    """Chance is held against the rate: what lies below it is disturbed."""
    chaos = make(face, rate=0.3, result="chaos", random=FixedRandom(0.0, 0.29, 0.3, 0.99))
    fn, _ = face.scripted("fine")

    assert [face.call(chaos, fn) for _ in range(4)] == ["chaos", "chaos", "fine", "fine"]


def test_when(face):
    """A filter sees the name and the arguments and decides which calls may be disturbed."""
    chaos = make(face, result="chaos", when=lambda call: call.kwargs.get("tenant") == "test" and "fn" in call.name)
    fn, _ = face.scripted("fine")

    assert face.call(chaos, fn, tenant="real") == "fine"
    assert face.call(chaos, fn, tenant="test") == "chaos"
    assert chaos.snapshot().injected == 1


def test_it_expires(face):
    """After its time it stops by itself, and says so once."""
    chaos = make(face, result="chaos", expires_after=60.0, name="trial", registry=face.registry)
    fn, _ = face.scripted("fine")

    assert face.call(chaos, fn) == "chaos"
    face.clock.advance(60.0)
    assert [face.call(chaos, fn) for _ in range(2)] == ["fine", "fine"]
    assert [(event.source, event.reason) for event in face.seen.of(ChaosStopped)] == [("trial", "its 60 s are over")]
    assert not chaos.idle()


def test_it_ends_after_a_number_of_calls(face):
    """After as many disturbed calls as allowed it stops by itself; a new start counts anew."""
    chaos = make(face, result="chaos", max_injections=2)
    fn, _ = face.scripted("fine")

    assert [face.call(chaos, fn) for _ in range(3)] == ["chaos", "chaos", "fine"]
    assert chaos.snapshot() == ChaosSnapshot(active=False, why="it disturbed 2 calls", injected=2, rate=1.0)
    chaos.start()
    assert face.call(chaos, fn) == "chaos"


def test_kill_switches(face):
    """`stop` ends one, `stop_all` every one and keeps all from starting until `allow_all`."""
    one, other = make(face, result="chaos"), make(face, result="chaos")
    fn, _ = face.scripted("fine")

    one.stop("enough")
    one.stop("again")
    assert [face.call(chaos, fn) for chaos in (one, other)] == ["fine", "chaos"]
    Chaos.stop_all()
    assert face.call(other, fn) == "fine"
    later = make(face, result="chaos")
    other.start()
    assert [face.call(chaos, fn) for chaos in (later, other)] == ["fine", "fine"]
    Chaos.allow_all()
    assert face.call(later, fn) == "fine"
    later.start()
    assert face.call(later, fn) == "chaos"
    assert [event.reason for event in face.seen.of(ChaosStopped)][:2] == ["enough", "Chaos.stop_all() was called"]


def test_it_stops_when_the_breaker_opens(face):
    """Chaos that has opened the circuit does not disturb the probes that would close it."""
    breaker = CircuitBreaker(failure_threshold=2, success_threshold=1, open_for=30.0, **face.around)
    chaos = make(face, fault=OSError, stop_when=lambda: breaker.state is not CircuitState.CLOSED)
    stack = Pipeline("load", breaker, chaos, registry=face.registry)
    fn, _ = face.scripted("fine")

    for _ in range(2):
        with pytest.raises(OSError, match="chaos"):
            face.call(stack, fn)
    assert breaker.state is CircuitState.OPEN
    face.clock.advance(30.0)
    assert face.call(stack, fn) == "fine"
    assert breaker.state is CircuitState.CLOSED
    assert chaos.snapshot().why == "stop_when said so"
    assert face.call(stack, fn) == "fine"


@pytest.mark.parametrize("rule", ["stop_when", "when"])
def test_a_rule_that_fails_stops_it(face, rule):
    """Who cannot tell whether it is safe must stop, and the call goes on."""
    chaos = make(face, result="chaos", **{rule: lambda *call: 1 // 0})
    fn, _ = face.scripted("fine")

    assert face.call(chaos, fn) == "fine"
    assert chaos.snapshot().why == f"{rule} raised ZeroDivisionError"


def test_a_stop_rule_that_says_no(face):
    """As long as the rule says no, it goes on."""
    chaos = make(face, result="chaos", stop_when=lambda: False)
    fn, _ = face.scripted("fine")

    assert face.call(chaos, fn) == "chaos"


def test_streams(face):
    """Of a stream the opening is disturbed: it fails, is late, or has other items."""
    good = face.generator(1, 2)

    with pytest.raises(OSError, match="chaos"):
        face.take(make(face, fault=OSError)(good))
    assert face.take(make(face, result=[7])(good)) == [7]
    assert face.take(make(face, latency=2.0)(good)) == [1, 2]
    assert face.take(make(face, latency=2.0, enabled=False)(good)) == [1, 2]
    assert face.clock.sleeps == [2.0]


def test_blocks(face):
    """A block is disturbed at its start; its result cannot be replaced."""
    ran = []

    with pytest.raises(OSError, match="chaos"):
        face.block(make(face, fault=OSError).guard(), ran.append)
    face.block(make(face, latency=2.0).guard(), ran.append)
    assert (ran, face.clock.sleeps) == ([None], [2.0])
    with pytest.raises(ConfigError, match="block has no answer"):
        make(face, result=1).guard()


async def test_cancelled_while_it_waits():
    """A call that is cancelled during its injected latency is not run."""
    ran = []

    async def work():
        ran.append(1)

    chaos = Chaos(rate=1.0, latency=10.0, enabled=True, clock=asyncio.get_running_loop().clock)
    task = asyncio.create_task(chaos.acall(work))
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ran == []


def test_thread_storm():
    """Under many threads not one call more is disturbed than allowed."""
    chaos, hits = Chaos(rate=1.0, result="chaos", max_injections=50, enabled=True), []

    def call():
        hits.extend(chaos.call(len, "fine") == "chaos" for _ in range(40))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (len(hits), sum(hits), chaos.snapshot().injected) == (320, 50, 50)


def test_reconfigure(face):
    """Settings change while it runs; the count goes on, and a new time counts from now."""
    chaos = make(face, result="chaos", expires_after=10.0)
    fn, _ = face.scripted("fine")
    face.call(chaos, fn)

    face.clock.advance(8.0)
    chaos.reconfigure(expires_after=5.0, max_injections=3)
    face.clock.advance(4.0)
    assert [face.call(chaos, fn) for _ in range(3)] == ["chaos", "chaos", "fine"]
    chaos.start()
    chaos.reconfigure(rate=0.0)
    assert face.call(chaos, fn) == "fine"
    for wrong in ({"rate": 2.0}, {"rates": 0.5}):
        with pytest.raises(ConfigError):
            chaos.reconfigure(**wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a fault"),
        ({"fault": OSError, "result": 1}, "either fault"),
        ({"fault": OSError, "rate": 1.1}, "rate"),
        ({"fault": OSError, "rate": True}, "rate"),
        ({"latency": -1.0}, "latency"),
        ({"latency": (3.0, 1.0)}, "latency"),
        ({"latency": math.inf}, "latency"),
        ({"fault": OSError, "expires_after": 0.0}, "expires_after"),
        ({"fault": OSError, "max_injections": 0}, "max_injections"),
        ({"fault": OSError, "max_injections": True}, "max_injections"),
    ],
)
def test_wrong_settings(options, words):
    """What makes no sense is refused when it is made."""
    with pytest.raises(ConfigError, match=words):
        Chaos(**{"rate": 0.5, **options})


def test_what_it_tells(face):
    """One line says what it does and whether it does, repr the state, worst the latency it adds."""
    chaos = make(face, rate=0.25, latency=(0.5, 2.0), name="trial", registry=face.registry)

    assert chaos.describe() == "chaos 'trial': latency for 25 % of calls"
    assert chaos.worst(Worst(1.0, 2)) == Worst(3.0, 2)
    assert make(face, behaviour=print).worst(Worst(1.0, 2)) == Worst(math.inf, 2)
    chaos.stop()
    assert chaos.describe() == "chaos 'trial': latency for 25 % of calls (stopped: stop() was called)"
    assert chaos.worst(Worst(1.0, 2)) == Worst(1.0, 2)
    assert "rate=0.25" in repr(chaos)
    assert face.registry.get("chaos", "trial") is chaos
    assert make(face, fault=OSError).name == "chaos"
    assert ChaosCall("name").kwargs == {}
    with pytest.raises(DuplicateNameError):
        make(face, fault=OSError, name="trial", registry=face.registry)
