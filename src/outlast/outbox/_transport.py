"""What the delivery loop asks of whatever carries an op to its server."""

from __future__ import annotations

from typing import Protocol

from outlast.engines.op import Answer, ReadBack
from outlast.outbox._records import Op, SealedRequest


class Transport(Protocol):
    """Carry sealed ops to a server and say what came back."""

    @property
    def origin(self) -> str:
        """Return the name of the server that all ops go to, such as `https://api.example.org`."""
        ...

    def seal(self, op: Op) -> SealedRequest:
        """Turn an op into the request that will be sent, byte for byte, at every attempt.

        Pure: it is called inside a transaction, in another thread, and may be called twice.
        """
        ...

    async def send(self, op: Op, request: SealedRequest) -> Answer:
        """Send a request once and say what came back; credentials are added here.

        It raises nothing but cancellation: every failure is an answer.
        """
        ...

    async def read_back(self, op: Op, request: SealedRequest) -> ReadBack:
        """Read the entity from the server and say whether it holds what the op wanted."""
        ...
