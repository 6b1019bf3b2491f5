"""What every row of the suite stands on: one scenario, two colours, in real time.

A scenario is an `async def` that drives calls from outside. In the async colour a call is a task; in the sync colour it
is a thread, so that one scenario serves both. Nothing here knows any library.
"""

import asyncio
import concurrent.futures
import inspect
import threading
import time

from demand import check


class Interrupt(BaseException):
    """Stands for Ctrl-C and the like in the sync colour, where a call cannot be cancelled."""


class Body:
    """What a call does: give one outcome after the other (exceptions are raised; the last one stays)."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes) or ["fine"]
        self.runs = 0
        self.begun = threading.Event()

    def _begin(self):
        self.runs += 1
        self.begun.set()

    def _next(self):
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def run(self):
        self._begin()
        return self._next()

    async def arun(self):
        self._begin()
        return self._next()


def always():
    """Return a call that fails each time."""
    return Body(ConnectionError("down"))


class Held(Body):
    """A call that goes on until it is told how to end."""

    def __init__(self):
        super().__init__()
        self.gate = concurrent.futures.Future()
        self.ended = threading.Event()

    def run(self):
        self._begin()
        try:
            return self.gate.result()
        finally:
            self.ended.set()

    async def arun(self):
        self._begin()
        try:
            return await asyncio.wrap_future(self.gate)
        finally:
            self.ended.set()

    def finish(self, value="fine"):
        if not self.gate.done():
            self.gate.set_result(value)

    def fail(self, error):
        if not self.gate.done():
            self.gate.set_exception(error)


class Slow(Body):
    """A call that takes a while."""

    def __init__(self, seconds, *outcomes):
        super().__init__(*outcomes)
        self.seconds = seconds

    def run(self):
        self._begin()
        time.sleep(self.seconds)
        return self._next()

    async def arun(self):
        self._begin()
        await asyncio.sleep(self.seconds)
        return self._next()


class Outcome:
    """How a call ended."""

    def __init__(self, value=None, error=None):
        self.value, self.error = value, error

    def __repr__(self):
        return f"returned {self.value!r}" if self.error is None else f"raised {type(self.error).__name__}"


class Call:
    """A call under way."""

    def __init__(self, future, body, task=None):
        self.future, self.body, self.task = future, body, task

    async def outcome(self):
        """Wait for its end."""
        await asyncio.wait([self.future])
        if self.future.cancelled():
            return Outcome(error=asyncio.CancelledError())
        error = self.future.exception()
        return Outcome(error=error) if error is not None else self.future.result()

    @property
    def done(self):
        return self.future.done()

    def cancel(self):
        """Cancel it; in the sync colour, interrupt it."""
        if self.task is not None:
            self.task.cancel()
        elif isinstance(self.body, Held):
            self.body.fail(Interrupt())


class Stage:
    """Make functions of one colour and run them."""

    def __init__(self, colour):
        self.colour = colour
        self.is_async = colour == "async"

    @property
    def target(self):
        """A function of this colour that does what the body in its first argument says."""
        if self.is_async:

            async def target(body, *args, **kwargs):
                return await body.arun()
        else:

            def target(body, *args, **kwargs):
                return body.run()

        return target

    def start(self, fn, *args, **kwargs):
        """Start a call of a function of this colour."""
        body = args[0] if args and isinstance(args[0], Body) else None
        if self.is_async:
            task = asyncio.ensure_future(settled(fn, args, kwargs))
            return Call(task, body, task)
        done = concurrent.futures.Future()

        def work():
            try:
                outcome = Outcome(fn(*args, **kwargs))
            except BaseException as error:
                outcome = Outcome(error=error)
            done.set_result(outcome)

        threading.Thread(target=work, daemon=True).start()
        return Call(asyncio.wrap_future(done), body)

    async def run(self, fn, *args, **kwargs):
        """Run a call to its end."""
        return await self.start(fn, *args, **kwargs).outcome()

    async def hold(self, fn, body=None):
        """Start a call that goes on until it is told how to end, and return when it runs or was refused."""
        body = body or Held()
        call = self.start(fn, body)
        await until(lambda: body.begun.is_set() or call.done)
        return call

    def stream_fn(self, source):
        """Make a generator function of this colour from the items of a list; exceptions in it are raised."""
        if self.is_async:

            async def stream(*args):
                for item in source:
                    if isinstance(item, BaseException):
                        raise item
                    yield item
        else:

            def stream(*args):
                for item in source:
                    if isinstance(item, BaseException):
                        raise item
                    yield item

        return stream

    def open(self, fn, *args):
        """Return a reader of a stream of this colour."""
        return Reader(fn(*args), is_async=self.is_async)

    async def drain(self, fn, *args):
        """Read a stream to its end; return the items and the exception that ended it."""
        items, reader = [], self.open(fn, *args)
        try:
            while True:
                items.append(await reader.next())
        except (StopIteration, StopAsyncIteration):
            return items, None
        except Exception as error:
            return items, error


class Reader:
    """Read a stream of either colour."""

    def __init__(self, stream, *, is_async):
        self.stream, self.is_async = stream, is_async
        ok = hasattr(stream, "__anext__") if is_async else hasattr(stream, "__next__")
        check(ok, f"the decorated generator function gave a {type(stream).__name__}, which cannot be read")

    async def next(self):
        if self.is_async:
            return await anext(self.stream)
        try:
            return next(self.stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def send(self, value):
        if self.is_async:
            return await self.stream.asend(value)
        try:
            return self.stream.send(value)
        except StopIteration:
            raise StopAsyncIteration from None

    async def throw(self, error):
        if self.is_async:
            return await self.stream.athrow(error)
        try:
            return self.stream.throw(error)
        except StopIteration:
            raise StopAsyncIteration from None

    async def close(self):
        if not self.is_async:
            self.stream.close()
        elif hasattr(self.stream, "aclose"):
            await self.stream.aclose()


async def settled(fn, args, kwargs):
    """Await a call and return how it ended; a cancellation passes."""
    try:
        result = fn(*args, **kwargs)
        return Outcome(await result if inspect.isawaitable(result) else result)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return Outcome(error=error)


async def until(condition, seconds=2.0):
    """Wait until something is so; False says that it never was."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.001)
    return True
