"""What the delivery loop asks of whatever carries an op to its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from outlast.engines.batches import BatchLimits
from outlast.engines.op import Answer, ReadBack
from outlast.outbox._records import Op, SealedRequest

Parcel = tuple[Op, SealedRequest]
"""An op with its sealed request."""


class Transport(Protocol):
    """Carry sealed ops to a server and say what came back.

    What a transport can do besides, it says by having the methods of `Polling`, `Refreshing` or `Batching`.
    """

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


@runtime_checkable
class Polling(Protocol):
    """Ask about what a server has accepted (202)."""

    async def poll(self, op: Op, request: SealedRequest, url: str) -> Answer:
        """Ask once: `Applied`, still `Accepted`, `Rejected` when it failed, `Gone` when it is no longer known."""
        ...


@runtime_checkable
class Refreshing(Protocol):
    """Get new credentials when the old ones are refused."""

    @property
    def account(self) -> object:
        """Return what stands for the credentials; transports that share them return the same. None: no new ones."""
        ...

    async def refresh(self) -> None:
        """Get new credentials; called once, however many ops were refused. What it raises stops the delivery."""
        ...


@runtime_checkable
class Batching(Protocol):
    """Carry several ops in one request."""

    @property
    def batch_limits(self) -> BatchLimits | None:
        """Return how large a batch may be, None when ops travel alone after all."""
        ...

    async def send_batch(self, parcels: Sequence[Parcel]) -> Mapping[int, Answer] | Answer:
        """Send ops in one request and return what became of each by its place, or one answer to the whole.

        An op that is not mentioned is in doubt. `Rejected` with status 413 says that the batch is too large.
        """
        ...
