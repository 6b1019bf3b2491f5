"""The server half of "exactly once": a write's key and its answer, kept in the transaction of the write."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from outlast.config import check_number
from outlast.errors import ConfigError
from outlast.http._receiver_connection import (
    aperform,
    check_transactional,
    dialect_of,
    in_transaction,
    needs_begin,
    perform,
)
from outlast.http._receiver_records import Claim, Fence, New, StoredResponse
from outlast.http._receiver_steps import Ask, Steps, claiming, creating, in_own_transaction, pruning, storing

T = TypeVar("T")

DAY = 86_400.0
_LONGEST_KEY = 255


class Receiver:
    """Let each write take effect once, however often it arrives, with two calls inside the caller's own transaction.

    ```
    match receiver.claim(db, key, fingerprint("POST", "/orders", body), scope=account):
        case New() as claim: ...        # the work, on the same connection; then
            receiver.store(db, claim, StoredResponse(201, (), answer))
        case Replay(response): ...      # give the stored answer again
        case Reused() | InProgress() | Fenced(): ...    # 422 | 409 | 409
    ```

    Then commit. The claim, the work and the answer are one transaction: after a crash at any moment either all of it
    is there and a repeat gets the answer, or nothing is and a repeat does the work. No lock outlives its transaction.

    A connection is one of sqlite3, apsw or psycopg, with a transaction open, or with a driver that opens one at the
    first statement. On SQLite a repeat waits for the first to end, as every writer does; on PostgreSQL it learns at
    once that the first is `InProgress`. Each new key removes up to two expired ones, so the table stays as large as
    what is alive; `prune` is for those who change the retention.

    Thread-safe: yes; a connection is used only by the call that it is given to.

    Args:
        retention: Seconds that an answer is kept, above 0; a repeat that comes later counts as new, so it must be
            longer than any sender goes on trying. Default 7 days.

    Raises:
        ConfigError: The number makes no sense.

    Source: draft-ietf-httpapi-idempotency-key-header-07.

    >>> import sqlite3
    >>> db, receiver = sqlite3.connect(":memory:"), Receiver()
    >>> receiver.create_tables(db)
    >>> claim = receiver.claim(db, "k1", "digest")
    >>> receiver.store(db, claim, StoredResponse(201, body=b"made"))
    >>> receiver.claim(db, "k1", "digest")
    Replay(response=StoredResponse(status=201, headers=(), body=b'made'))
    >>> receiver.claim(db, "k1", "another digest")
    Reused()
    >>> db.close()
    """

    def __init__(self, *, retention: float = 7 * DAY) -> None:
        check_number("retention", retention, above=0)
        if not math.isfinite(retention):
            raise ConfigError("must be finite; say ten years if that is what you mean", path="retention")
        self.retention = float(retention)

    def __repr__(self) -> str:
        """Return the settings."""
        return f"Receiver(retention={self.retention!r})"

    def create_tables(self, connection: Any) -> None:
        """Create the receiver's tables, or bring older ones up to date; several processes may do it at once.

        It joins the transaction that is open; otherwise it commits one of its own.

        Raises:
            NewerFormatError: A newer version of outlast made them; nothing was touched.
        """
        perform(connection, self._alone(connection, creating(dialect_of(connection))))

    async def acreate_tables(self, connection: Any) -> None:
        """Do as `create_tables`, on an AsyncConnection of psycopg."""
        await aperform(connection, self._alone(connection, creating(dialect_of(connection))))

    def claim(
        self, connection: Any, key: str, fingerprint: str, *, scope: str = "", fence: Fence | None = None
    ) -> Claim:
        """Find out what a request is, and claim its key if it is new.

        Args:
            connection: The connection of the work.
            key: The key, 1 to 255 characters.
            fingerprint: A digest of the request; see the function `fingerprint`.
            scope: Whose key it is, such as the account: two scopes share no keys.
            fence: The sender's term, to refuse one that was replaced. Default: not checked.

        Returns:
            `New`, `Replay`, `Reused`, `InProgress` (PostgreSQL only) or `Fenced`.

        Raises:
            ConfigError: Not a key; no transaction; or a connection of another driver.
            InDoubtError: The key was claimed and committed without an answer: a mistake in the program.
            Exception: What the driver raises, such as `database is locked` after SQLite's busy time-out.
        """
        return perform(connection, self._claiming(connection, key, fingerprint, scope, fence))

    async def aclaim(
        self, connection: Any, key: str, fingerprint: str, *, scope: str = "", fence: Fence | None = None
    ) -> Claim:
        """Do as `claim`, on an AsyncConnection of psycopg.

        Cancel: the transaction is the caller's to roll back.
        """
        return await aperform(connection, self._claiming(connection, key, fingerprint, scope, fence))

    def store(self, connection: Any, claim: New, response: StoredResponse) -> None:
        """Keep the answer to a claimed key; it is there for others with the caller's commit.

        Raises:
            ConfigError: The transaction has ended already.
            InDoubtError: The claim is not open: it was rolled back, or has its answer.
        """
        perform(connection, self._storing(connection, claim, response))

    async def astore(self, connection: Any, claim: New, response: StoredResponse) -> None:
        """Do as `store`, on an AsyncConnection of psycopg."""
        await aperform(connection, self._storing(connection, claim, response))

    def prune(self, connection: Any, *, max_rows: int = 500) -> int:
        """Delete up to `max_rows` expired answers and return how many there were; call it until that is 0.

        It joins the transaction that is open; otherwise it commits one of its own.
        """
        check_number("max_rows", max_rows, least=1)
        return perform(connection, self._alone(connection, pruning(dialect_of(connection), max_rows)))

    async def aprune(self, connection: Any, *, max_rows: int = 500) -> int:
        """Do as `prune`, on an AsyncConnection of psycopg."""
        check_number("max_rows", max_rows, least=1)
        return await aperform(connection, self._alone(connection, pruning(dialect_of(connection), max_rows)))

    def ask(self, key: str, fingerprint: str, scope: str, fence: Fence | None) -> Ask:
        """Return the question about a request.

        Raises:
            ConfigError: Not a key.
        """
        if not 1 <= len(key) <= _LONGEST_KEY:
            raise ConfigError(f"has 1 to {_LONGEST_KEY} characters, not {len(key)}", path="key")
        return Ask(scope, key, fingerprint, fence, self.retention)

    def _claiming(self, connection: Any, key: str, fingerprint: str, scope: str, fence: Fence | None) -> Steps[Claim]:
        check_transactional(connection)
        return claiming(dialect_of(connection), self.ask(key, fingerprint, scope, fence))

    def _storing(self, connection: Any, claim: New, response: StoredResponse) -> Steps[None]:
        if not in_transaction(connection):
            raise ConfigError("the transaction of the claim has ended; commit after `store`", path="connection")
        return storing(dialect_of(connection), claim, response)

    def _alone(self, connection: Any, steps: Steps[T]) -> Steps[T]:
        if in_transaction(connection):
            return steps
        return in_own_transaction(dialect_of(connection), steps, begin=needs_begin(connection))
