"""Several writes that are queued in one commit and delivered in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from outlast.engines.op import Verb
from outlast.errors import ConfigError
from outlast.outbox._core import OutboxCore
from outlast.outbox._make_write import make_write
from outlast.outbox._records import Queued
from outlast.outbox._ticket import TicketCore
from outlast.outbox._write import Write

T = TypeVar("T", bound=TicketCore)


class Transaction(Generic[T]):
    """Collect writes; when the block ends they are queued in one commit, when it raises none is.

    They are delivered one after the other, in whatever lanes they lie, and none before the one in front of it
    is delivered; a conflict or a dead letter keeps the rest back. The tickets are of use after the block.

    Thread-safe: no.
    """

    def __init__(self, ticket: Callable[[], T]) -> None:
        self._ticket = ticket
        self._writes: list[Write] = []
        self._tickets: dict[int, T] = {}

    def create(self, kind: str, entity: str, body: Any, **options: Any) -> T:
        """Make an entity; see `Outbox.create`."""
        return self._add(Verb.CREATE, kind, entity, body, options)

    def put(self, kind: str, entity: str, body: Any, **options: Any) -> T:
        """Replace an entity."""
        return self._add(Verb.PUT, kind, entity, body, options)

    def patch(self, kind: str, entity: str, body: Any, **options: Any) -> T:
        """Send a JSON merge patch of an entity."""
        return self._add(Verb.PATCH, kind, entity, body, options)

    def delete(self, kind: str, entity: str, **options: Any) -> T:
        """Remove an entity."""
        return self._add(Verb.DELETE, kind, entity, None, options)

    def post(self, kind: str, entity: str, body: Any, **options: Any) -> T:
        """Send a message."""
        return self._add(Verb.POST, kind, entity, body, options)

    def _add(self, verb: Verb, kind: str, entity: str, body: Any, options: dict[str, Any]) -> T:
        if id(options.get("after")) in self._tickets:
            options = {**options, "after": None}  # it comes after all that are in front of it anyway
        self._writes.append(make_write(verb, kind, entity, body, options))
        ticket = self._ticket()
        self._tickets[id(ticket)] = ticket
        return ticket

    def writes(self) -> list[Write]:
        """Return what was collected; what one of them comes after, all of them do.

        Raises:
            ConfigError: They come after several writes outside, or a name stands for two of them.
        """
        outside = {write.after for write in self._writes if write.after is not None}
        if len(outside) > 1:
            raise ConfigError("a transaction may come after one other write, not several", path="after")
        plain = [write._replace(after=None) for write in self._writes]
        return [plain[0]._replace(after=outside.pop()), *plain[1:]] if outside else plain

    def placed(self, queued: list[Queued]) -> None:
        """Tell the tickets their places."""
        for ticket, one in zip(self._tickets.values(), queued, strict=True):
            ticket.seq = one.seq


def begin(core: OutboxCore, kind: type[T]) -> Transaction[T]:
    """Return a transaction that gives tickets of a kind."""
    return Transaction(lambda: kind(core, 0))
