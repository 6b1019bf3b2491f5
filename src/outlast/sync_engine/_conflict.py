"""What a person or a function is shown of a conflict, and what it may decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from outlast.engines.merge_report import Merged
from outlast.engines.op import Gone, Stale, Verb
from outlast.engines.reconcile_records import Resolution
from outlast.outbox import Op


@dataclass(frozen=True, slots=True)
class Conflict:
    """Show a write that the server refused because it holds something else.

    Args:
        op: The write.
        base: What the server held when the write was made, as JSON; UNKNOWN, or ABSENT if there was nothing.
        ours: What the entity would be by the write; ABSENT for a delete, UNKNOWN for a patch of an unknown base.
        theirs: What the server holds now; ABSENT if it is gone, UNKNOWN if it could not be read as JSON.
        etag: The version of theirs, or None.
        cause: What the server said.
    """

    op: Op
    base: Any
    ours: Any
    theirs: Any
    etag: str | None
    cause: Stale | Gone

    @property
    def verb(self) -> Verb:
        """Return what the write does."""
        return self.op.verb


@dataclass(frozen=True, slots=True)
class Resend:
    """Send this whole instead of the write, based on what the server holds now.

    Args:
        body: The JSON value.
    """

    body: Any


Decision = Resolution | Resend | Merged
"""`DONE`: the server has what counts, drop ours. `RETRY`: send ours again, over what is there. `FAIL`: a person must
decide. `Resend`: send that. A result of `merge`: send it if nothing in it is open."""

Resolver = Callable[[Conflict], Awaitable[Decision] | Decision]
