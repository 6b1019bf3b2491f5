"""The retry around generators and what returns awaitables."""

from demand import Broken, check, row
from stage import Body


@row("retry/opening-of-a-stream", "A stream that fails before its first item is opened again.")
async def opening(stage, kit):  # noqa: C901 - the same source in two colours
    opened = []

    def items():
        opened.append(True)
        return [ConnectionError("no")] if len(opened) < 3 else [1, 2]

    if stage.is_async:

        async def source():
            for item in items():
                if isinstance(item, BaseException):
                    raise item
                yield item
    else:

        def source():
            for item in items():
                if isinstance(item, BaseException):
                    raise item
                yield item

    got, error = await stage.drain(kit.retry(stage).wrap_stream(source))
    check((got, error) == ([1, 2], None), f"the reader got {got} and {error!r}")


@row("retry/no-item-twice", "A stream that fails after an item is not opened again: no item comes twice.")
async def no_item_twice(stage, kit):
    fn = kit.retry(stage).wrap_stream(stage.stream_fn([1, ConnectionError("broke off")]))
    got, error = await stage.drain(fn)
    check(got == [1], f"the reader got {got}")
    check(isinstance(error, ConnectionError), f"the stream ended with {error!r}")


@row("retry/lambda-returning-a-coroutine", "A plain function that returns a coroutine is tried again.", ("async",))
async def coroutine(stage, kit):
    body = Body(ConnectionError("once"), "fine")
    outcome = await stage.run(kit.retry(stage).wrap(lambda *args: body.arun()))
    check(outcome.value == "fine", f"it {outcome}")


@row("retry/object-with-async-call", "An object whose `__call__` is async is tried again.", ("async",))
async def callable_object(stage, kit):
    body = Body(ConnectionError("once"), "fine")

    class Client:
        async def __call__(self, *args):
            return await body.arun()

    try:
        fn = kit.retry(stage).wrap(Client())
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    outcome = await stage.run(fn)
    check(outcome.value == "fine", f"it {outcome}")
