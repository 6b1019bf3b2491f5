"""The circuit breaker around generators and async generators."""

import asyncio

from demand import Broken, check, row
from moves import RECOVERED, admits, fails, must_be_open


@row("breaker/stream-that-breaks-off", "A (sync or async) generator that raises after its first item is a failure.")
async def stream_breaks(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap_stream(stage.stream_fn([1, ConnectionError("broke off")]))
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        items, error = await stage.drain(fn)
        check(items == [1] and isinstance(error, ConnectionError), f"the reader got {items} and {error!r}")
    await must_be_open(stage, kit, plain, "after 3 streams that broke off")


@row("breaker/stream-closed-early", "A reader that stops early is no failure of the source.")
async def stream_closed(stage, kit):
    breaker = kit.breaker(stage)
    fn, plain = breaker.wrap_stream(stage.stream_fn([1, 2, 3])), breaker.wrap(stage.target)
    for _ in range(4):
        reader = stage.open(fn)
        check(await reader.next() == 1, "the first item is wrong")
        await reader.close()
    check(await admits(stage, kit, plain), "4 streams that were closed early opened it")


@row("breaker/stream-probe-closed-early", "A probe stream that its reader closes gives its slot back.")
async def stream_probe(stage, kit):
    breaker = kit.breaker(stage, successes=1)
    fn, plain = breaker.wrap_stream(stage.stream_fn([1, 2, 3])), breaker.wrap(stage.target)
    await fails(stage, plain)
    await must_be_open(stage, kit, plain)
    await asyncio.sleep(RECOVERED)
    reader = stage.open(fn)
    check(await reader.next() == 1, "the probe stream was not admitted")
    await reader.close()
    check(await admits(stage, kit, plain), "the closed stream kept the probe's slot")


@row("breaker/stream-is-closed-behind", "Closing the decorated stream closes the user's generator at once.")
async def stream_behind(stage, kit):
    ended = []

    if stage.is_async:

        async def source():
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)
    else:

        def source():
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)

    reader = stage.open(kit.breaker(stage).wrap_stream(source))
    await reader.next()
    await reader.close()
    check(ended, "the user's generator was still suspended after the stream was closed")


@row("breaker/stream-throw-and-send", "What is sent and thrown into a decorated stream reaches the user's generator.")
async def stream_throw(stage, kit):
    got = []

    if stage.is_async:

        async def source():
            try:
                got.append((yield 1))
                yield 2
            except LookupError:
                yield "caught"
    else:

        def source():
            try:
                got.append((yield 1))
                yield 2
            except LookupError:
                yield "caught"

    reader = stage.open(kit.breaker(stage).wrap_stream(source))
    await reader.next()
    await reader.send("hello")
    check(got == ["hello"], f"send('hello') arrived as {got}")
    try:
        answer = await reader.throw(LookupError("thrown in"))
    except (LookupError, StopAsyncIteration, StopIteration, RuntimeError) as error:
        raise Broken("the generator did not get what was thrown in") from error
    check(answer == "caught", f"throw() gave {answer!r}")


@row("breaker/open-refuses-streams", "An open circuit refuses a stream before the user's generator begins.")
async def open_refuses_streams(stage, kit):
    breaker, begun = kit.breaker(stage), []

    if stage.is_async:

        async def source():
            begun.append(True)
            yield 1
    else:

        def source():
            begun.append(True)
            yield 1

    fn, plain = breaker.wrap_stream(source), breaker.wrap(stage.target)
    await fails(stage, plain)
    _, error = await stage.drain(fn)
    check(isinstance(error, kit.refused), f"the stream ended with {error!r}")
    check(not begun, "the refused generator began")
