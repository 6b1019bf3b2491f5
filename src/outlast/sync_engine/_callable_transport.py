"""Carry ops by a function, for what is not HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from outlast.engines.op import Answer, Applied, InDoubt, NotApplied, ReadBack, Unreadable
from outlast.errors import Outcome, classify
from outlast.outbox import Op, SealedRequest


class CallableTransport:
    """Carry each op by calling an async function.

    The function gets the op and returns an answer (`Applied()`, `Rejected("...")`, ...) or an `Outcome`.
    An exception is classified: what surely did not happen and what is in doubt are both sent again, as
    the same op with the same key; the function must not act twice on one key.

    Args:
        function: Called with the op.
        read_back: Called with the op when a precondition failed. Default: such an op is in
            conflict.
        name: What failures are counted under. Default `callable`.
    """

    def __init__(
        self,
        function: Callable[[Op], Awaitable[Answer | Outcome]],
        *,
        read_back: Callable[[Op], Awaitable[ReadBack]] | None = None,
        name: str = "callable",
    ) -> None:
        self.origin = name
        self._function = function
        self._read_back = read_back

    def seal(self, op: Op) -> SealedRequest:
        """Freeze the op under its key."""
        return SealedRequest(method=op.verb.value, url=op.key, body=op.body)

    async def send(self, op: Op, request: SealedRequest) -> Answer:
        """Call the function; see `Transport.send`."""
        del request
        try:
            result = await self._function(op)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return NotApplied(said) if classify(error).outcome is Outcome.NOT_APPLIED else InDoubt(said)
        return _ANSWERS[result] if isinstance(result, Outcome) else result

    async def read_back(self, op: Op, request: SealedRequest) -> ReadBack:
        """Call the function for reading back, if there is one."""
        del request
        if self._read_back is None:
            return Unreadable("there is no read_back function", permanent=True)
        return await self._read_back(op)


_ANSWERS: dict[Outcome, Answer] = {
    Outcome.APPLIED: Applied(),
    Outcome.NOT_APPLIED: NotApplied("the function says that nothing happened"),
    Outcome.IN_DOUBT: InDoubt("the function does not know whether it happened"),
}
