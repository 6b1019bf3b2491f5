"""What a database offers, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from outlast.storage._layouts import Dialect
from outlast.storage._writer import Batch, Failed

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result


class Lock(Protocol):
    """Hold a lock that is freed when its holder's process ends, however it ends."""

    @property
    def held(self) -> bool:
        """Tell whether this object holds the lock."""
        ...

    def try_acquire(self) -> bool:
        """Take the lock if nobody else has it, and tell whether it is held now."""
        ...

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        ...


class Database(Protocol):
    """Write in durable groups and read in snapshots, on a thread each."""

    @property
    def name(self) -> str:
        """Return what it is called towards users; it holds no secret."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Return which store it is and where the tables lie."""
        ...

    @property
    def sender(self) -> str:
        """Return what marks its own notifications, so that it is not told of them; empty where there are none."""
        ...

    @property
    def commits(self) -> int:
        """Return how many transactions the writer has committed."""
        ...

    def write(self, job: Callable[[Any], T]) -> Future[T]:
        """Run SQL in a durable transaction, shared with whatever else waits; the job may run twice."""
        ...

    def write_item(self, job: Callable[[Any, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Run SQL once for all items that wait for the same job one after the other; each has its own future."""
        ...

    def write_items(
        self,
        job: Callable[[Any, Sequence[I]], Sequence[T]],
        items: Sequence[I],
        then: Callable[[list[T | Failed]], None],
    ) -> Batch[T]:
        """Do the same for several items at once; `then` is told in the writer's thread what became of each."""
        ...

    @property
    def quick(self) -> bool:
        """Tell whether a commit has lately never taken long, so that even an event loop may make one."""
        ...

    def write_at_once(self, job: Callable[[Any, Sequence[I]], Sequence[T]], items: Sequence[I]) -> Sequence[T] | None:
        """Do it in the calling thread, if that need not wait for anybody but the disk.

        Returns:
            The results, durable, or None: nothing was done, and `write_items` must see to it or find out what is wrong.
        """
        ...

    def read(self, job: Callable[[Any], T]) -> Future[T]:
        """Run queries on the reader thread."""
        ...

    def moved(self) -> bool:
        """Tell, without waiting, whether somebody may have committed since this was asked last; from one thread."""
        ...

    def check_space(self, connection: Any, coming: int, reserve: int | None, now: float, /) -> None:
        """Refuse writes of so many bytes, inside their transaction, that would go into the space to be kept back.

        Raises:
            StorageFullError: They would.
        """
        ...

    def check_space_outside(self, coming: int, reserve: int | None, /) -> None:
        """Do the same for writes on a connection of somebody else, as far as that can be seen from here."""
        ...

    def lock(self, name: str) -> Lock:
        """Return a lock of that name, which everybody shares who has this database open."""
        ...

    def listen(self, listener: Callable[[], None], /) -> Callable[[], None]:
        """Call a listener, from a thread, when another process says that it has written; returns how to stop.

        It is a hint: some are never given, and a store may give none at all.
        """
        ...

    def close(self) -> None:
        """Finish what is queued and close it; a second close does nothing."""
        ...
