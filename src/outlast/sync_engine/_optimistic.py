"""Optimistic changes of state that a program keeps itself, by tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from outlast.errors import ConfigError, MultiError


@dataclass(frozen=True, slots=True)
class OptimisticChange:
    """Hold a change that is shown and not confirmed yet.

    Args:
        token: The name of the change.
        original: What the caller wants to remember of the state before it.
        rollback: Takes the change back.
        on_success: Told when the change is confirmed.
        on_error: Told with the error when the change was taken back.
    """

    token: Hashable
    original: Any
    rollback: Callable[[], object]
    on_success: Callable[[], object] | None
    on_error: Callable[[object], object] | None


class OptimisticStore:
    """Take back changes that a program has shown before they were confirmed.

    For state that lives in the program's own objects. A handler that puts a copy of the old state back also undoes
    what was changed since, here and on the server; where the state belongs to an outbox, `Overlay` knows better.
    Each token is settled once: whichever of `commit` and `rollback` comes first wins.

    Thread-safe: yes. Handlers and callbacks run in the thread that settles, outside of the lock.

    >>> lamp, store = {"state": "off"}, OptimisticStore()
    >>> lamp["state"] = "on"
    >>> store.register("t1", original="off", rollback=lambda: lamp.update(state="off"), on_error=print)
    >>> store.rollback("t1", "permission denied")
    permission denied
    True
    >>> lamp["state"], store.commit("t1")
    ('off', False)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: dict[Hashable, OptimisticChange] = {}

    def register(
        self,
        token: Hashable,
        *,
        rollback: Callable[[], object],
        original: Any = None,
        on_success: Callable[[], object] | None = None,
        on_error: Callable[[object], object] | None = None,
    ) -> None:
        """Remember a change that was just shown.

        Args:
            token: Its name.
            rollback: Takes it back.
            original: What to remember of the state before it; shown by `pending`.
            on_success: Told when it is confirmed.
            on_error: Told with the error when it was taken back.

        Raises:
            ConfigError: A change of that name is pending; its rollback would be lost.
        """
        with self._lock:
            if token in self._changes:
                raise ConfigError(f"a change {token!r} is pending already; each needs a token of its own", path="token")
            self._changes[token] = OptimisticChange(token, original, rollback, on_success, on_error)

    def commit(self, token: Hashable) -> bool:
        """Confirm a change; False says that none of that name is pending."""
        change = self._take(token)
        if change is not None and change.on_success is not None:
            change.on_success()
        return change is not None

    def rollback(self, token: Hashable, error: object = None) -> bool:
        """Take a change back; False says that none of that name is pending.

        Args:
            token: Its name.
            error: Why, for `on_error`, which is told also when the rollback itself raises.
        """
        change = self._take(token)
        if change is None:
            return False
        try:
            change.rollback()
        finally:
            if change.on_error is not None:
                change.on_error(error)
        return True

    def rollback_all(self, error: object = None) -> int:
        """Take all changes back, the newest first, and return how many there were.

        Args:
            error: Why, for each `on_error`.

        Raises:
            MultiError: Some handlers raised; all the same every change was taken back.
        """
        count, failures = 0, list[Exception]()
        for token in reversed(self.pending):
            try:
                count += self.rollback(token, error)
            except Exception as failure:  # one handler's mistake must not keep the others from their rollback
                count += 1
                failures.append(failure)
        if failures:
            raise MultiError("some optimistic changes could not be taken back cleanly", failures)
        return count

    @property
    def pending(self) -> dict[Hashable, Any]:
        """Return the tokens that are neither confirmed nor taken back, oldest first, each with its `original`."""
        with self._lock:
            return {token: change.original for token, change in self._changes.items()}

    def _take(self, token: Hashable) -> OptimisticChange | None:
        with self._lock:
            return self._changes.pop(token, None)

    def __len__(self) -> int:
        """Return how many changes are pending."""
        return len(self._changes)
