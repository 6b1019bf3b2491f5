"""Who waits for a slot and is granted one, in which order, and who leaves the queue."""

import asyncio
import threading

import pytest
from bulkheads import hold, release, until_queued

from outlast.events import CallWaited, EventBus
from outlast.policies import Bulkhead, Criticality, priority
from outlast.testing import ManualClock, Recorder


async def test_tasks_take_turns():
    """Tasks that wait run in the order in which they came, and say how long they waited."""
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
