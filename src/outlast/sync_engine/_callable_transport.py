"""Carry ops by functions, for what is not HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from outlast.engines.batches import BatchLimits
from outlast.engines.op import Answer, Applied, Gone, InDoubt, NotApplied, ReadBack, Unreadable
from outlast.errors import Outcome, classify
from outlast.outbox import Op, Parcel, SealedRequest

Result = Answer | Outcome


class CallableTransport:
    """Carry each op by calling an async function.

    The function gets the op and returns an answer (`Applied()`, `Rejected("...")`, ...) or an `Outcome`.
    An exception is classified: what surely did not happen and what is in doubt are both sent again, as
    the same op with the same key; the function must not act twice on one key.

    Args:
        function: Called with the op.
        read_back: Called with the op when a precondition failed, or when it must be known whether it took
            effect. Default: such an op is in conflict.
        poll: Called with an op for which the function has returned `Accepted`, and with its url, until it returns
            `Applied` or `Rejected`. Default: it is read back.
        refresh: Called once when ops get `AuthNeeded`; they go again afterwards. Default: the delivery stops.
        batch: Called with several ops; returns what became of each by its place, or one answer to all. Default: ops
            travel alone.
        batch_limits: How many ops, and bytes of bodies, go in one batch. Default 100 and 1 MiB.
        name: What failures are counted under. Default `callable`.
    """

    def __init__(
        self,
        function: Callable[[Op], Awaitable[Result]],
        *,
        read_back: Callable[[Op], Awaitable[ReadBack]] | None = None,
        poll: Callable[[Op, str], Awaitable[Result]] | None = None,
        refresh: Callable[[], Awaitable[None]] | None = None,
        batch: Callable[[Sequence[Op]], Awaitable[Mapping[int, Result] | Result]] | None = None,
        batch_limits: BatchLimits | None = None,
        name: str = "callable",
    ) -> None:
        self.origin = name
        self.batch_limits = (batch_limits or BatchLimits()) if batch is not None else None
        self.account = refresh
        self._function = function
        self._read_back = read_back
        self._poll = poll
        self._batch = batch

    def seal(self, op: Op) -> SealedRequest:
        """Freeze the op under its key."""
        return SealedRequest(method=op.verb.value, url=op.key, body=op.body)

    async def send(self, op: Op, request: SealedRequest) -> Answer:
        """Call the function; see `Transport.send`."""
        del request
        try:
            return _answer(await self._function(op))
        except Exception as error:
            return _failure(error)

    async def read_back(self, op: Op, request: SealedRequest) -> ReadBack:
        """Call the function for reading back, if there is one."""
        del request
        if self._read_back is None:
            return Unreadable("there is no read_back function", permanent=True)
        return await self._read_back(op)

    async def poll(self, op: Op, request: SealedRequest, url: str) -> Answer:
        """Call the function for asking, if there is one."""
        del request
        if self._poll is None:
            return Gone("there is no poll function")
        try:
            return _answer(await self._poll(op, url))
        except Exception as error:
            return _failure(error)

    async def refresh(self) -> None:
        """Call the function for new credentials."""
        if self.account is not None:
            await self.account()

    async def send_batch(self, parcels: Sequence[Parcel]) -> Mapping[int, Answer] | Answer:
        """Call the function for several ops."""
        if self._batch is None:
            return NotApplied("there is no batch function")
        try:
            result = await self._batch([op for op, _ in parcels])
        except Exception as error:
            return _failure(error)
        if isinstance(result, Mapping):
            return {seq: _answer(one) for seq, one in result.items()}
        return _answer(result)


def _answer(result: Result) -> Answer:
    return _ANSWERS[result] if isinstance(result, Outcome) else result


def _failure(error: Exception) -> Answer:
    said = f"{type(error).__name__}: {error}"
    return NotApplied(said) if classify(error).outcome is Outcome.NOT_APPLIED else InDoubt(said)


_ANSWERS: dict[Outcome, Answer] = {
    Outcome.APPLIED: Applied(),
    Outcome.NOT_APPLIED: NotApplied("the function says that nothing happened"),
    Outcome.IN_DOUBT: InDoubt("the function does not know whether it happened"),
}
