"""One scenario, two colours: `face` runs it as sync and as async code, in virtual time."""

import asyncio

import pytest

from outlast.events import EventBus
from outlast.policies import Pipeline, Timeout
from outlast.registry import Registry
from outlast.testing import ManualClock, Recorder, VirtualLoop


class Face:
    """Write a scenario once and run it in one colour; the subclass is the colour."""

    def __init__(self):
        self.clock = ManualClock()
        self.bus = EventBus()
        self.seen = Recorder(self.bus)
        self.registry = Registry()

    @property
    def around(self):
        """What every policy of the scenario is given."""
        return {"clock": self.clock, "bus": self.bus}

    def scripted(self, *outcomes):
        """Make a function of this colour that gives one outcome after the other; exceptions are raised."""
        script = Script(outcomes)
        return self.function(script), script

    def within(self, seconds, policy, fn):
        """Call through a policy under a deadline, if one is given."""
        if seconds is None:
            return self.call(policy, fn)
        return self.call(Pipeline("within", Total(seconds, self.clock), policy, registry=self.registry), fn)

    def fail(self, policy, times, error=ConnectionError):
        """Run failing calls through a policy; whatever they raise is swallowed."""
        for _ in range(times):
            fn, _ = self.scripted(error("down"))
            with pytest.raises((error, Exception)):
                self.call(policy, fn)

    def succeed(self, policy, times=1):
        """Run calls that succeed through a policy."""
        for _ in range(times):
            fn, _ = self.scripted("fine")
            assert self.call(policy, fn) == "fine"

    def close(self):
        """Let go of what the colour needs."""


class Total(Timeout):
    """A deadline around a call, as a policy."""

    def __init__(self, seconds, clock):
        super().__init__(seconds, mode="cooperative", name="total", clock=clock)


class Script:
    """Count calls and give one outcome after the other; the last one stays."""

    def __init__(self, outcomes):
        self.outcomes = list(outcomes)
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class SyncFace(Face):
    """Plain calls."""

    colour = "sync"

    def function(self, body):
        """Make a plain function of a body."""

        def fn(*args, **kwargs):
            return body(*args, **kwargs)

        return fn

    def generator(self, *items):
        """Make a generator function; items that are exceptions are raised."""

        def fn():
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                yield item

        return fn

    def slow(self, seconds, result="late"):
        """Make a function that takes a while."""
        return self.function(lambda: self.clock.sleep(seconds) or result)

    def call(self, policy, fn, *args, **kwargs):
        """Call through a policy."""
        return policy.call(fn, *args, **kwargs)

    def run(self, fn, *args):
        """Run a function of this colour."""
        return fn(*args)

    def block(self, guard, body):
        """Run a body inside a guard."""
        with guard as entered:
            return body(entered)

    def take(self, fn, most=None):
        """Read a stream, to its end or up to `most` items, and close it."""
        stream, items = fn(), []
        try:
            while most is None or len(items) < most:
                items.append(next(stream))
        except StopIteration:
            pass
        finally:
            stream.close()
        return items

    def loop(self, attempts, body):
        """Run a body in the loop form of retry."""
        for attempt in attempts:
            with attempt:
                result = body(attempt)
        return result

    def begin(self, breaker):
        """Start a call that goes on until it is told how to end."""
        return SyncRunning(breaker)


class SyncRunning:
    """A call in flight."""

    def __init__(self, breaker):
        self.guard = breaker.guard()
        self.guard.__enter__()

    def end(self, error=None):
        """Let the call return, or raise."""
        self.guard.__exit__(type(error) if error else None, error, None)

    def cancel(self):
        """Stop it from outside."""
        self.end(KeyboardInterrupt())


class AsyncFace(Face):
    """Calls on an event loop in virtual time."""

    colour = "async"

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock))

    def close(self):
        """Close the loop."""
        self.runner.close()

    def function(self, body):
        """Make a coroutine function of a body; it suspends once."""

        async def fn(*args, **kwargs):
            await asyncio.sleep(0)
            return body(*args, **kwargs)

        return fn

    def generator(self, *items):
        """Make an async generator function; items that are exceptions are raised."""

        async def fn():
            for item in items:
                await asyncio.sleep(0)
                if isinstance(item, BaseException):
                    raise item
                yield item

        return fn

    def slow(self, seconds, result="late"):
        """Make a coroutine function that takes a while."""

        async def fn():
            await asyncio.sleep(seconds)
            return result

        return fn

    def call(self, policy, fn, *args, **kwargs):
        """Call through a policy, on the loop."""
        return self.runner.run(policy.acall(fn, *args, **kwargs))

    def run(self, fn, *args):
        """Run a coroutine function."""
        return self.runner.run(fn(*args))

    def block(self, guard, body):
        """Run a body inside a guard."""

        async def enter():
            async with guard as entered:
                await asyncio.sleep(0)
                return body(entered)

        return self.runner.run(enter())

    def take(self, fn, most=None):
        """Read a stream, to its end or up to `most` items, and close it."""

        async def read():
            stream, items = fn(), []
            try:
                while most is None or len(items) < most:
                    items.append(await anext(stream))
            except StopAsyncIteration:
                pass
            finally:
                await stream.aclose()
            return items

        return self.runner.run(read())

    def loop(self, attempts, body):
        """Run a body in the loop form of retry."""

        async def go():
            async for attempt in attempts:
                async with attempt:
                    result = body(attempt)
            return result

        return self.runner.run(go())

    def begin(self, breaker):
        """Start a call that goes on until it is told how to end."""
        return AsyncRunning(self.runner, breaker)


class AsyncRunning:
    """A call in flight, as a task."""

    def __init__(self, runner, breaker):
        self.runner = runner
        runner.run(self._start(breaker))

    async def _start(self, breaker):
        self.outcome = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(breaker.acall(self._wait))
        await asyncio.sleep(0)
        if self.task.done():
            self.task.result()

    async def _wait(self):
        error = await self.outcome
        if error is not None:
            raise error

    def end(self, error=None):
        """Let the call return, or raise."""
        self.outcome.set_result(error)
        self.runner.run(self._settled())

    def cancel(self):
        """Stop it from outside."""
        self.task.cancel()
        self.runner.run(self._settled())

    async def _settled(self):
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request):
    """The colour to run a scenario in."""
    face = request.param()
    yield face
    face.close()
