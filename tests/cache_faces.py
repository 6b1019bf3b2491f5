"""One scenario for both faces of the cache: `face` runs it with `SyncCache` and with `Cache`."""

import asyncio
import threading
import time

from outlast.cache import Cache, Freshness, SyncCache
from outlast.events import EventBus
from outlast.registry import Registry
from outlast.testing import ManualClock, Recorder, VirtualLoop


class Face:
    """Write a scenario once and run it with one kind of cache; the subclass is the kind."""

    def __init__(self, *, real=False):
        self.clock = ManualClock()
        self.bus = EventBus()
        self.seen = Recorder(self.bus)
        self.registry = Registry()
        self.real = real
        self.caches = []

    def make(self, name="users", *, ttl=60.0, **options):
        """Make a cache; numbers of its freshness may be given among the options."""
        numbers = {field: options.pop(field) for field in list(options) if field in Freshness.__dataclass_fields__}
        cache = self.kind(
            name,
            freshness=Freshness(ttl=ttl, **numbers),
            **{"clock": self.clock, "bus": self.bus, "registry": self.registry, **options},
        )
        self.caches.append(cache)
        return cache

    def read(self, cache, key, body):
        """Read a key with a loader made from a plain function."""
        return self.run(cache.read, key, self.loader(body))

    def value(self, cache, key, body):
        """Read only the value."""
        return self.run(cache.get_or_load, key, self.loader(body))

    def peek(self, cache, key):
        """Look without loading."""
        return self.run(cache.peek, key)

    def put(self, cache, key, value, etag=None):
        """Store a value."""
        self.run(cache.put, key, value, etag)

    def remove(self, cache, key):
        """Remove a key."""
        self.run(cache.remove, key)

    def clear(self, cache):
        """Remove everything."""
        self.run(cache.clear)

    def finish(self):
        """Close every cache."""
        for cache in self.caches:
            self.close(cache)


class Script:
    """Be a loader that gives one outcome after the other; the last one stays and errors are raised."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.keys = []

    @property
    def calls(self):
        """Return how often it was called."""
        return len(self.keys)

    def __call__(self, key):
        self.keys.append(key)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class SyncFace(Face):
    """Plain calls and threads."""

    colour = "sync"
    kind = SyncCache

    def run(self, method, *args):
        """Call a method."""
        return method(*args)

    def loader(self, body):
        """Return the body as it is."""
        return body

    def gate(self):
        """Make a loader that waits for the test."""
        return SyncGate()

    def start(self, method, *args):
        """Call a method in a thread."""
        return Thread(method, args)

    def read_gate(self, cache, key, gate):
        """Read with a gate as the loader."""
        return cache.read(key, gate.load)

    def nested(self, cache, *keys):
        """Make a loader that reads the first key with a loader that reads the next, and so on."""
        if not keys:
            return lambda key: f"value of {key}"
        return lambda _: cache.get_or_load(keys[0], self.nested(cache, *keys[1:]))

    @staticmethod
    async def wrong_loader(key):
        """Be a loader of the other colour."""

    def entered_or_done(self, gate, reader):
        """Wait until the loader was called or the reader is answered."""
        while not gate.entered.is_set() and reader.thread.is_alive():
            time.sleep(0)

    def pass_time(self, cache, seconds):
        """Let time pass: what waits in threads waits really, what counts ages goes by the clock."""
        self.clock.advance(seconds)

    def close_while(self, cache, gate):
        """Close while a load waits; a thread cannot be cut, so it is let go."""
        closing = self.start(cache.close)
        while not cache.snapshot().closed:
            time.sleep(0)
        gate.end("late")
        closing.result()

    def idle(self, cache):
        """Wait until no load is under way."""
        while cache.snapshot().in_flight:
            time.sleep(0)

    def close(self, cache):
        """Close a cache."""
        cache.close()


class SyncGate:
    """A loader that waits until the test says how it ends."""

    def __init__(self):
        self.calls = 0
        self.entered = threading.Event()
        self.ended = threading.Event()
        self.outcome = None

    def load(self, key):
        """Wait."""
        self.calls += 1
        self.entered.set()
        assert self.ended.wait(10)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def wait_entered(self):
        """Wait until the loader was called."""
        assert self.entered.wait(10)

    def end(self, outcome):
        """Let the loader return, or raise."""
        self.outcome = outcome
        self.ended.set()


class Thread:
    """A call in a thread."""

    def __init__(self, method, args):
        self.thread = threading.Thread(target=self._run, args=(method, args), daemon=True)
        self.thread.start()

    def _run(self, method, args):
        try:
            self.outcome = method(*args)
        except BaseException as error:
            self.outcome = error

    def result(self):
        """Return what it returned, or raise what it raised."""
        self.thread.join(10)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class AsyncFace(Face):
    """Tasks on an event loop: in virtual time, or a real one where files are used."""

    colour = "async"
    kind = Cache

    def __init__(self, *, real=False):
        super().__init__(real=real)
        self.runner = asyncio.Runner(loop_factory=None if real else lambda: VirtualLoop(self.clock))

    def run(self, method, *args):
        """Call a method on the loop."""
        return self.runner.run(_call(method, args))

    def loader(self, body):
        """Make a coroutine function of a body; it suspends once."""

        async def load(key):
            await asyncio.sleep(0)
            return body(key)

        return load

    def gate(self):
        """Make a loader that waits for the test."""
        return AsyncGate(self.runner)

    def start(self, method, *args):
        """Call a method in a task."""
        return Task(self.runner, method, args)

    def read_gate(self, cache, key, gate):
        """Read with a gate as the loader."""
        return self.run(cache.read, key, gate.load)

    def nested(self, cache, *keys):
        """Make a loader that reads the first key with a loader that reads the next, and so on."""

        async def load(key):
            if not keys:
                return f"value of {key}"
            return await cache.get_or_load(keys[0], self.nested(cache, *keys[1:]))

        return load

    @staticmethod
    def wrong_loader(key):
        """Be a loader of the other colour."""

    def entered_or_done(self, gate, reader):
        """Wait until the loader was called or the reader is answered."""

        async def wait():
            while not gate.entered.is_set() and not reader.task.done():
                await spin()

        self.runner.run(wait())

    def pass_time(self, cache, seconds):
        """Let the loop's time pass."""
        self.runner.run(_call(asyncio.sleep, (seconds,)))

    def close_while(self, cache, gate):
        """Close while a load waits."""
        self.close(cache)

    def idle(self, cache):
        """Wait until no load is under way."""

        async def wait():
            while cache.snapshot().in_flight:
                await spin()

        self.runner.run(wait())

    def close(self, cache):
        """Close a cache."""
        self.runner.run(cache.aclose())

    def finish(self):
        """Close every cache, and the loop."""
        super().finish()
        self.runner.close()


async def _call(method, args):
    return await method(*args)


async def spin():
    """Let every task run until it waits for something."""
    for _ in range(30):
        await asyncio.sleep(0)


class AsyncGate:
    """A loader that waits until the test says how it ends."""

    def __init__(self, runner):
        self.calls = 0
        self.runner = runner
        self.entered = asyncio.Event()
        self.ended = asyncio.Event()
        self.outcome = None

    async def load(self, key):
        """Wait."""
        self.calls += 1
        self.entered.set()
        await self.ended.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def wait_entered(self):
        """Wait until the loader was called."""
        self.runner.run(_call(self.entered.wait, ()))

    def end(self, outcome):
        """Let the loader return, or raise."""
        self.outcome = outcome
        self.ended.set()


class Task:
    """A call in a task."""

    def __init__(self, runner, method, args):
        self.runner = runner
        runner.run(self._start(method, args))

    async def _start(self, method, args):
        self.task = asyncio.get_running_loop().create_task(method(*args))
        await spin()

    def result(self):
        """Return what it returned, or raise what it raised."""

        async def wait():
            return await self.task

        return self.runner.run(wait())
