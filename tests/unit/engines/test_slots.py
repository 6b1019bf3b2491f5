import pytest

from outlast.engines import QueueOrder, SlotsConfig
from outlast.engines.slots import SlotsEngine, Waiter
from outlast.errors import ConfigError


def make(slots=1, waiting=20, **options):
    """Make an engine whose slots are all taken."""
    engine = SlotsEngine(SlotsConfig(slots, waiting, **options))
    engine.free.clear()
    return engine


def queue(engine, *priorities, left=None):
    """Let callers join, who wait."""
    waiters = [Waiter(bool, priority) for priority in priorities]
    for waiter in waiters:
        assert engine.join(waiter, left) is None
        assert not waiter.granted
    return waiters


def give(engine, now=0.0):
    """Give one slot back and return the priority of whoever gets it."""
    engine.free.append(None)
    return [waiter.priority for waiter in engine.grant(now)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param("fifo", [1, 3, 2, 3.5], id="fifo"),
        pytest.param("lifo", [3.5, 2, 3, 1], id="lifo"),
        pytest.param("priority", [3.5, 3, 2, 1], id="priority"),
    ],
)
def test_who_is_next(order, expected):
    """Each order hands the slots to those who wait in its own way."""
    engine = make(order=order)
    queue(engine, 1, 3, 2, 3.5)

    assert [give(engine)[0] for _ in range(4)] == expected


def test_equal_priorities_go_by_arrival():
    """Among equals the one that has waited longest is first."""
    engine = make(order=QueueOrder.PRIORITY)
    first, low, second = queue(engine, 5, 1, 5)
    engine.free.append(None)
    engine.free.append(None)

    assert engine.grant(0.0) == [first, second]
    assert not low.granted


def test_a_free_slot_needs_no_queue():
    """A caller that finds a free slot has it at once, also where nobody may wait."""
    engine = SlotsEngine(SlotsConfig(1, 0))
    waiter = Waiter(bool)

    assert engine.join(waiter, None) is None
    assert waiter.granted
    assert engine.join(Waiter(bool), None).reason == "1 calls are running and 0 waiting"
    assert engine.snapshot().rejected == 1


def test_full_queue_refuses():
    """One more than may wait is refused and counted."""
    engine = make(waiting=2)
    queue(engine, 0, 0)

    assert engine.join(Waiter(bool), None).retry_after is None
    snapshot = engine.snapshot()
    assert (snapshot.waiting, snapshot.rejected, snapshot.running, snapshot.utilisation) == (2, 1, 1, 1.0)


@pytest.mark.parametrize("order", list(QueueOrder))
def test_whoever_left_is_forgotten(order):
    """A caller that gave up is never granted a slot and leaves no trace in the queue."""
    engine = make(order=order)
    one, two, three = queue(engine, 1, 2, 3)

    assert [engine.leave(one), engine.leave(three)] == [False, False]
    assert engine.waiting == engine.crowded == 1
    assert give(engine) == [2]
    assert engine.crowded == 0
    engine.free.append(None)
    assert engine.grant(0.0) == []
    assert engine.leave(two)


def test_leaving_makes_room():
    """The place of a caller that gave up may be taken by another."""
    engine = make(waiting=1)
    (one,) = queue(engine, 0)
    engine.leave(one)

    queue(engine, 0)


def test_no_time_to_wait():
    """A caller that may not wait at all is refused though the queue has room."""
    engine = make()

    assert "cannot wait long enough" in engine.join(Waiter(bool), 0.0).reason


def paced(order="fifo"):
    """Make an engine with one waiter, whose slots come free each 2 seconds."""
    engine = make(order=order)
    queue(engine, 0, 0, 0)
    give(engine, 10.0)
    give(engine, 12.0)
    return engine


def test_the_queue_ahead_takes_too_long():
    """A caller whose limit is shorter than the queue ahead takes at its present pace is refused at once."""
    engine = paced()

    refused = engine.join(Waiter(bool), 1.9)
    assert refused.retry_after == 4.0
    queue(engine, 0, left=2.1)


def test_pace_matters_only_where_those_ahead_go_first():
    """With another order than FIFO nobody knows who will be ahead."""
    queue(paced("lifo"), 0, left=0.1)


def test_an_idle_queue_says_nothing_about_the_pace():
    """The time during which nobody waited is no interval between grants."""
    engine = make()
    queue(engine, 0)
    give(engine, 1.0)
    (two,) = queue(engine, 0)
    engine.leave(two)
    queue(engine, 0)
    give(engine, 1000.0)

    assert engine.refuse("").retry_after is None


def test_the_pace_follows():
    """A new interval counts for a fifth."""
    engine = make()
    queue(engine, 0, 0, 0, 0)
    for now in (0.0, 2.0, 14.0):
        give(engine, now)

    assert engine.refuse("").retry_after == pytest.approx(2 * (2.0 + 0.2 * 10.0))


def test_more_slots_at_once():
    """New slots go to those who wait."""
    engine = make(1)
    waiters = queue(engine, 0, 0, 0)
    engine.reconfigure(SlotsConfig(3))

    assert engine.grant(0.0) == waiters[:2]
    assert (engine.running, engine.waiting) == (3, 1)


def test_fewer_slots_as_they_come_back():
    """Slots that are too many vanish as they are given back; until then nobody new is let in."""
    engine = make(3)
    (waiter,) = queue(engine, 0)
    engine.reconfigure(SlotsConfig(1))

    assert [give(engine), give(engine)] == [[], []]
    assert engine.running == 1
    assert give(engine) == [0]
    assert engine.crowded == 0
    assert waiter.granted


def test_fewer_slots_while_some_are_free():
    """Free slots that are too many vanish at once."""
    engine = SlotsEngine(SlotsConfig(5))
    engine.reconfigure(SlotsConfig(2))
    engine.grant(0.0)

    assert (len(engine.free), engine.crowded, engine.running) == (2, 0, 0)


def test_fewer_and_more_again():
    """Growing again first takes back what was to vanish."""
    engine = make(4)
    engine.reconfigure(SlotsConfig(1))
    engine.reconfigure(SlotsConfig(3))
    engine.grant(0.0)
    assert (engine.running, engine.crowded, len(engine.free)) == (4, 1, 0)

    give(engine)
    assert (engine.running, engine.crowded, len(engine.free)) == (3, 0, 0)


def test_another_order_for_those_who_wait():
    """Those who wait are ordered anew, by arrival among equals."""
    engine = make(order="priority")
    queue(engine, 1, 3, 1)
    engine.reconfigure(SlotsConfig(1, order="fifo"))

    assert [give(engine)[0] for _ in range(3)] == [1, 3, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent": 0},
        {"max_concurrent": True},
        {"max_concurrent": 2.5},
        {"max_waiting": -1},
        {"max_wait": -1.0},
        {"max_wait": float("nan")},
        {"max_wait": float("inf")},
        {"order": "random"},
    ],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """Numbers that let nothing in, and orders that nobody knows, are refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        SlotsConfig(**options)


@pytest.mark.parametrize(
    ("options", "longest"), [({}, float("inf")), ({"max_wait": 3.0}, 3.0), ({"max_waiting": 0}, 0)]
)
def test_longest_wait(options, longest):
    """The longest wait is known for the worst case."""
    assert SlotsConfig(**options).longest_wait == longest
