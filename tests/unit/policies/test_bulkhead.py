import asyncio
import contextvars
import threading

import pytest

from outlast.engines.worst import Worst
from outlast.errors import BulkheadFullError, ConfigError, DeadlineExceededError, DuplicateNameError
from outlast.events import CallRejected, CallWaited, PolicyReconfigured
from outlast.policies import Bulkhead, Criticality, deadline, priority
from outlast.testing import ManualClock


def make(face, slots=1, **options):
    """Make a bulkhead."""
    return Bulkhead(slots, **{**face.around, **options})


def hold(bulkhead):
    """Take a slot and keep it."""
    guard = bulkhead.guard()
    guard.__enter__()
    return guard


def release(guard):
    """Give a slot back."""
    guard.__exit__(None, None, None)


def test_calls_pass(face):
    """Arguments reach the function, its result comes back, and so does the slot."""
    bulkhead = make(face)
    fn = face.function(lambda *args, **kwargs: (args, kwargs, bulkhead.snapshot().running))

    assert face.call(bulkhead, fn, 1, two=2) == ((1,), {"two": 2}, 1)
    assert bulkhead.snapshot().running == 0


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()], ids=repr)
def test_errors_pass_and_give_the_slot_back(face, error):
    """Whatever the call raises is what the caller gets, and the slot comes back."""
    bulkhead = make(face)
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)):
        face.call(bulkhead, fn)

    assert bulkhead.snapshot().running == 0


def test_full(face):
    """Without a place to wait a call is refused at once and says by whom."""
    bulkhead = make(face, max_waiting=0, name="db", registry=face.registry)
    hold(bulkhead)
    fn, script = face.scripted("fine")

    with pytest.raises(BulkheadFullError, match="db is full: 1 calls are running and 0 waiting") as caught:
        face.call(bulkhead, fn)

    assert script.calls == 0
    assert (caught.value.operation, caught.value.timestamp, caught.value.retry_after) == ("db", 1.7e9, None)
    assert caught.value.__suppress_context__
    assert [event.source for event in face.seen.of(CallRejected)] == ["db"]
    assert bulkhead.snapshot().rejected == 1


def test_waiting_in_vain(face):
    """A call waits no longer than it may, and leaves the queue."""
    bulkhead = make(face, max_wait=5.0)
    hold(bulkhead)
    fn, _ = face.scripted("fine")

    with pytest.raises(BulkheadFullError, match="no slot came free"):
        face.call(bulkhead, fn)

    assert face.clock.now() == 1005.0
    assert (bulkhead.queue_depth, bulkhead.snapshot().rejected, bulkhead.snapshot().running) == (0, 1, 1)


def test_deadline_ends_the_wait(face):
    """A wait ends with the deadline in force, and without time left it does not begin."""
    bulkhead = make(face, max_wait=50.0)
    hold(bulkhead)
    fn, script = face.scripted("fine")
    # In async code the deadline cancels the call at the same moment; which of the two is first is left open.
    with pytest.raises((BulkheadFullError, DeadlineExceededError)):
        face.within(2.0, bulkhead, fn)
    assert face.clock.now() == 1002.0
    late = bulkhead(face.function(lambda: None))

    def sync():
        with deadline(1.0, clock=face.clock):
            face.clock.advance(1.0)
            late()

    async def coro():
        with deadline(1.0, clock=face.clock):
            face.clock.advance(1.0)
            await late()

    with pytest.raises(BulkheadFullError, match="cannot wait long enough"):
        face.run(coro if face.colour == "async" else sync)
    assert script.calls == 0


async def until_queued(bulkhead, depth):
    """Let tasks run until that many wait."""
    while bulkhead.queue_depth < depth:  # noqa: ASYNC110 - a bulkhead has no event to wait for
        await asyncio.sleep(0)


async def test_tasks_take_turns():
    """Tasks that wait run in the order in which they came, and say how long they waited."""
    from outlast.events import EventBus
    from outlast.testing import Recorder

    bus, order = EventBus(), []
    bulkhead = Bulkhead(2, max_waiting=100, clock=asyncio.get_running_loop().clock, bus=bus)

    @bulkhead
    async def work(number):
        order.append(number)
        await asyncio.sleep(1.0)

    with Recorder(bus) as seen:
        await asyncio.gather(*(work(number) for number in range(6)))

    assert order == list(range(6))
    assert [event.seconds for event in seen.of(CallWaited)] == [1.0, 1.0, 2.0, 2.0]
    assert bulkhead.snapshot().running == bulkhead.queue_depth == 0


@pytest.mark.parametrize(("order", "expected"), [("lifo", [0, 4, 3, 2, 1]), ("priority", [0, 4, 2, 3, 1])])
async def test_other_orders(order, expected):
    """The last may be first, or the most important."""
    bulkhead, ran = Bulkhead(1, order=order, clock=asyncio.get_running_loop().clock), []

    async def work(number):
        ran.append(number)
        await asyncio.sleep(1.0)

    async def call(number, level):
        with priority(level):
            await bulkhead.acall(work, number)

    levels = [0, Criticality.SHEDDABLE, 0, Criticality.SHEDDABLE_PLUS, Criticality.CRITICAL_PLUS]
    await asyncio.gather(*(call(number, level) for number, level in enumerate(levels)))

    assert ran == expected


async def test_priority_of_the_call():
    """A function of the arguments may say how important a call is; it is asked only when there is a queue."""
    ran, asked = [], []

    def important(number):
        asked.append(number)
        return number

    bulkhead = Bulkhead(1, order="priority", priority=important, clock=asyncio.get_running_loop().clock)

    @bulkhead
    async def work(number):
        ran.append(number)
        await asyncio.sleep(1.0)

    await asyncio.gather(*(work(number) for number in (1, 2, 3)))

    assert (ran, asked) == ([1, 3, 2], [2, 3])


async def test_newcomers_do_not_overtake():
    """A call that comes while others wait stands behind them, also when a slot is just coming free."""
    bulkhead, ran = Bulkhead(1), []
    holder = hold(bulkhead)

    async def work(number):
        ran.append(number)

    first = asyncio.create_task(bulkhead.acall(work, 1))
    await until_queued(bulkhead, 1)
    release(holder)
    await bulkhead.acall(work, 2)
    await first

    assert ran == [1, 2]


async def test_cancelled_waiter_leaves():
    """A task that is cancelled while it waits is not granted a slot, and the next is."""
    bulkhead = Bulkhead(1)
    holder, ran = hold(bulkhead), []

    async def work(number):
        ran.append(number)

    tasks = [asyncio.create_task(bulkhead.acall(work, number)) for number in range(2)]
    await until_queued(bulkhead, 2)
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert bulkhead.queue_depth == 1
    release(holder)
    await tasks[1]

    assert ran == [1]
    assert bulkhead.snapshot().running == 0


async def test_granted_and_cancelled_at_once():
    """A slot that is granted to a task in the moment of its cancellation goes to the next."""
    bulkhead = Bulkhead(1)
    holder, ran = hold(bulkhead), []

    async def work(number):
        ran.append(number)

    tasks = [asyncio.create_task(bulkhead.acall(work, number)) for number in range(2)]
    await until_queued(bulkhead, 2)
    release(holder)
    assert bulkhead.queue_depth == 1
    tasks[0].cancel()
    await asyncio.wait(tasks)

    assert tasks[0].cancelled()
    assert ran == [1]
    assert bulkhead.snapshot().running == 0


async def test_granted_and_timed_out_at_once():
    """A task whose time is over in the moment in which it is granted a slot may run."""
    loop = asyncio.get_running_loop()
    bulkhead = Bulkhead(1, max_wait=1.0, clock=loop.clock)
    holder = hold(bulkhead)
    loop.call_later(1.0, release, holder)

    async def work():
        return "ran"

    assert await bulkhead.acall(work) == "ran"
    assert bulkhead.snapshot().running == 0


def test_threads_wait_for_each_other():
    """A thread that finds no slot waits until another gives one back."""
    bulkhead, ran = Bulkhead(1), []
    holder = hold(bulkhead)
    thread = threading.Thread(target=bulkhead.call, args=(ran.append, 1))
    thread.start()
    while not bulkhead.queue_depth:
        threading.Event().wait(0.001)
    assert ran == []
    release(holder)
    thread.join()

    assert ran == [1]
    assert (bulkhead.utilisation, bulkhead.queue_depth) == (0.0, 0)


def test_a_call_that_fails_hands_its_slot_on():
    """The slot of a call that raises goes to the one that waits."""
    bulkhead, ran, threads = Bulkhead(1), [], []

    def fail():
        threads.append(threading.Thread(target=bulkhead.call, args=(ran.append, 1)))
        threads[0].start()
        while not bulkhead.queue_depth:
            threading.Event().wait(0.001)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        bulkhead.call(fail)
    threads[0].join()

    assert ran == [1]


def test_a_thread_interrupted_while_it_waits():
    """A thread that is interrupted in the queue leaves it; a slot that it was granted goes on."""

    class Interrupting(ManualClock):
        def wait(self, event, seconds):
            release(self.holder)
            raise KeyboardInterrupt

    clock = Interrupting()
    bulkhead = Bulkhead(1, clock=clock)
    clock.holder = hold(bulkhead)
    with pytest.raises(KeyboardInterrupt):
        bulkhead.call(len, "fine")

    assert bulkhead.snapshot().running == bulkhead.queue_depth == 0


def test_guard(face):
    """A block holds a slot; a guard serves one block."""
    bulkhead = make(face, 4)
    guard = bulkhead.guard()

    assert face.block(guard, lambda _: bulkhead.utilisation) == 0.25
    assert bulkhead.utilisation == 0
    with pytest.raises(ConfigError, match="one block only"):
        face.block(guard, lambda _: None)
    assert bulkhead.utilisation == 0


def test_full_guard(face):
    """A block is refused as a call is."""
    bulkhead = make(face, max_wait=1.0)
    hold(bulkhead)

    with pytest.raises(BulkheadFullError):
        face.block(bulkhead.guard(), lambda _: None)
    assert bulkhead.snapshot().running == 1


def test_streams_hold_their_slot(face):
    """A stream has its slot from its first item to its end, or until it is closed early."""
    bulkhead = make(face, 2)
    running = []

    def note(item):
        running.append(bulkhead.snapshot().running)
        return item

    stream = bulkhead(face.generator(1, 2, 3))
    if face.colour == "sync":
        items = stream()
        assert bulkhead.snapshot().running == 0
        [note(item) for item in items]
    else:

        async def read():
            async for item in stream():
                note(item)

        face.run(read)
    assert running == [1, 1, 1]
    assert bulkhead.snapshot().running == 0

    assert face.take(bulkhead(face.generator(1, 2, 3)), 2) == [1, 2]
    assert bulkhead.snapshot().running == 0
    with pytest.raises(OSError, match="broken"):
        face.take(bulkhead(face.generator(1, OSError("broken"))))
    assert bulkhead.snapshot().running == 0


async def test_returned_coroutine_holds_a_slot_while_awaited():
    """What a plain function returns to be awaited runs in a slot too, and one that is dropped takes none."""
    bulkhead = Bulkhead(1, max_waiting=0)

    async def work():
        await asyncio.sleep(1.0)
        return bulkhead.snapshot().running

    lazy = bulkhead(lambda: work())  # noqa: PLW0108 - a function that does not say that it is async
    assert await lazy() == 1
    inner = work()
    dropped = bulkhead.call(lambda: inner)
    assert bulkhead.snapshot().running == 0
    dropped.close()
    inner.close()
    assert bulkhead.snapshot().running == 0


async def test_returned_future_holds_the_slot_until_done():
    """A future that a plain function returns is handed on as it is, and the slot comes back when it is done."""
    bulkhead = Bulkhead(1)
    future = asyncio.get_running_loop().create_future()

    assert bulkhead.call(lambda: future) is future
    assert bulkhead.snapshot().running == 1
    future.set_result(None)
    await asyncio.sleep(0)
    assert bulkhead.snapshot().running == 0


async def test_reconfigure():
    """More slots let those who wait run; fewer take effect as calls end; nobody loses a place."""
    clock = asyncio.get_running_loop().clock
    bulkhead, ran = Bulkhead(1, clock=clock), []

    @bulkhead
    async def work(number):
        ran.append(number)
        await asyncio.sleep(1.0)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await until_queued(bulkhead, 5)
    bulkhead.reconfigure(max_concurrent=3)
    await asyncio.sleep(0.5)
    assert ran == [0, 1, 2]
    bulkhead.reconfigure(max_concurrent=1, order="lifo")
    await asyncio.sleep(1.0)
    assert ran == [0, 1, 2, 5]
    await asyncio.gather(*tasks)

    assert ran == [0, 1, 2, 5, 4, 3]
    assert bulkhead.snapshot().running == 0
    assert bulkhead.settings()["max_concurrent"] == 1


def test_reconfigure_refuses(face):
    """Unknown settings, nonsense and what cannot change are refused, and nothing changes."""
    bulkhead = make(face, 3)
    with pytest.raises(ConfigError, match="did you mean max_wait"):
        bulkhead.reconfigure(max_wai=3)
    with pytest.raises(ConfigError, match="max_concurrent"):
        bulkhead.reconfigure(max_wait=1.0, max_concurrent=0)
    with pytest.raises(ConfigError, match="cannot change priority"):
        bulkhead.reconfigure(priority=len)

    assert bulkhead.settings()["max_wait"] is None
    bulkhead.reconfigure(max_wait=1.0)
    assert face.seen.last(PolicyReconfigured).settings == ("max_wait",)


def test_it_tells_about_itself(face):
    """Name, description, worst case, settings and state can be read."""
    bulkhead = make(face, 5, max_wait=2.0, name="db", registry=face.registry)
    hold(bulkhead)

    assert face.registry.get("bulkhead", "db") is bulkhead
    with pytest.raises(DuplicateNameError):
        make(face, name="db", registry=face.registry)
    assert bulkhead.describe() == "bulkhead 'db': 5 calls at once, 20 waiting up to 2 s (fifo)"
    assert bulkhead.worst(Worst(3.0, 2)) == Worst(5.0, 2)
    assert make(face).worst(Worst(3.0, 2)) == Worst(float("inf"), 2)
    assert repr(bulkhead).startswith("Bulkhead('db', SlotsConfig(max_concurrent=5")
    assert (bulkhead.idle(), make(face).idle(), make(face).name) == (False, True, "bulkhead")


def test_priority_is_carried_by_context():
    """The priority of a block holds in it alone, and wherever its context is copied to."""
    from outlast.policies import current_priority

    with priority(7):
        context = contextvars.copy_context()
    assert (current_priority(), context.run(current_priority)) == (0, 7)


@pytest.mark.parametrize("level", [None, float("nan"), "high"], ids=repr)
def test_a_priority_is_a_number(face, level):
    """A level that is no number is refused where it is given, and leaves no slot or place behind."""
    with pytest.raises(ConfigError, match="priority"), priority(level):
        pass
    bulkhead = make(face, order="priority", priority=lambda *_: level)
    guard = hold(bulkhead)
    fn, _ = face.scripted("fine")
    with pytest.raises(ConfigError, match="priority"):
        face.call(bulkhead, fn)
    release(guard)

    assert (bulkhead.snapshot().running, bulkhead.queue_depth) == (0, 0)


def test_one_for_each_key(face):
    """A fresh one has the same settings, and slots of its own."""
    bulkhead = make(face, name="db", registry=face.registry)
    hold(bulkhead)
    fresh = bulkhead.fresh("eu")

    assert (fresh.name, fresh.settings(), fresh.idle()) == ("db[eu]", bulkhead.settings(), True)


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"max_waiting": -1}, {"order": "size"}], ids=repr)
def test_nonsense_is_refused(options):
    """A bulkhead that lets nothing in is refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Bulkhead(**options)
