"""What reconciling looks at, what a kind may want of it, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from outlast.engines.json_values import UNKNOWN
from outlast.engines.merge import MergeRules
from outlast.engines.merge_report import Merged
from outlast.engines.op import Conflict, Deliver, Die, Gone, ReadBack, Stale, Step, Verb
from outlast.errors import ConfigError


class Resolution(StrEnum):
    """Name what reconciling came to."""

    DONE = "done"
    """Nothing is left to send."""
    RETRY = "retry"
    """Something is to be sent or asked again."""
    FAIL = "fail"
    """Somebody must decide."""


class OnDeleted(StrEnum):
    """Name what becomes of an edit of an entity that is gone on the server."""

    ASK = "ask"
    """Put it into the conflict inbox."""
    RECREATE = "recreate"
    """Make the entity again with our edit."""
    DISCARD = "discard"
    """Drop the edit."""


class OnDuplicate(StrEnum):
    """Name what becomes of a create whose entity is there with other content."""

    ASK = "ask"
    """Put it into the conflict inbox."""
    MERGE = "merge"
    """Merge the two, field by field, as two edits of nothing."""
    DISCARD = "discard"
    """Keep what is there."""


@dataclass(frozen=True, slots=True)
class ConflictPolicy:
    """Hold what a kind wants done about conflicts.

    Args:
        merge: The rules for fields that both sides changed, None to ask about every conflict of an update;
            its `deleted` says what becomes of a delete of an entity that others have edited. Default: merge
            what only one side changed, ask about the rest.
        on_deleted: What becomes of an edit of an entity that is gone. Default ask.
        on_duplicate: What becomes of a create of an entity that is there. Default ask.
        max_rounds: How many merged writes are sent before a person is asked, >= 0. Default 5.
        server_fields: Paths of members that only the server writes, such as `data.last_modified`; they are left out
            of the merge and of what is sent. Default none.
        unguarded: Whether a merged write may be sent to a server that names no version to base it on. Default
            False: it could overwrite what arrived in between, so a person is asked.
    """

    merge: MergeRules | None = field(default_factory=MergeRules)
    on_deleted: OnDeleted = OnDeleted.ASK
    on_duplicate: OnDuplicate = OnDuplicate.ASK
    max_rounds: int = 5
    server_fields: frozenset[str] = frozenset()
    unguarded: bool = False

    def __post_init__(self) -> None:
        """Refuse a number of rounds that is none."""
        if self.max_rounds < 0:
            raise ConfigError(f"must be at least 0, not {self.max_rounds!r}", path="conflict.max_rounds")


@dataclass(frozen=True, slots=True)
class ConflictPolicies:
    """Hold the policy of each kind.

    Args:
        by_kind: The kinds that have one of their own.
        default: The policy of all others.
    """

    by_kind: Mapping[str, ConflictPolicy] = field(default_factory=dict[str, ConflictPolicy])
    default: ConflictPolicy = field(default_factory=ConflictPolicy)

    def of(self, kind: str) -> ConflictPolicy:
        """Return the policy of a kind."""
        return self.by_kind.get(kind, self.default)


@dataclass(frozen=True, slots=True)
class Dispute:
    """Hold a write that the server refused.

    Args:
        verb: What it does.
        body: Its JSON value, None for a delete.
        answer: What the server said.
        base: The entity as it was when the write was made; UNKNOWN if that was not kept, ABSENT if it did not exist.
        rounds: How many merged writes were sent for it already.
    """

    verb: Verb
    body: Any
    answer: Stale | Gone
    base: Any = UNKNOWN
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Theirs:
    """Hold what reading back gave.

    Args:
        found: Whether it is there, and equal.
        content: Its JSON value; UNKNOWN if it could not be read or is no JSON.
    """

    found: ReadBack
    content: Any = UNKNOWN


@dataclass(frozen=True, slots=True)
class Keep:
    """Record the step that was found without a policy."""

    step: Step

    @property
    def resolution(self) -> Resolution:
        """Return what that comes to."""
        match self.step:
            case Deliver():
                return Resolution.DONE
            case Conflict() | Die():
                return Resolution.FAIL
            case _:
                return Resolution.RETRY


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read the entity back, whole and with its version, and ask again with what it gave."""

    reason: str
    resolution: ClassVar[Resolution] = Resolution.RETRY


@dataclass(frozen=True, slots=True)
class MergeAndResend:
    """Send this instead, under a new generation and so a new key.

    Args:
        verb: What it does.
        body: The JSON value, None for a delete.
        if_match: The version that it is based on now, or None.
        base: What the server holds, the base of the next merge.
        report: What became of each field.
    """

    verb: Verb
    body: Any
    if_match: str | None
    base: Any
    report: Merged
    resolution: ClassVar[Resolution] = Resolution.RETRY


@dataclass(frozen=True, slots=True)
class Recreate:
    """Send a create of the whole instead, under a new generation and so a new key.

    Args:
        body: The JSON value.
        reason: Why.
    """

    body: Any
    reason: str
    resolution: ClassVar[Resolution] = Resolution.RETRY


@dataclass(frozen=True, slots=True)
class Discard:
    """Take the write out as done without sending anything: the server has what counts.

    Args:
        etag: The version that it has, or None.
        reason: Why.
        report: What became of each field, or None.
    """

    etag: str | None
    reason: str
    report: Merged | None = None
    resolution: ClassVar[Resolution] = Resolution.DONE


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the write into the conflict inbox.

    Args:
        reason: Why.
        report: What became of each field and which are open, or None.
    """

    reason: str
    report: Merged | None = None
    resolution: ClassVar[Resolution] = Resolution.FAIL


Next = Keep | Fetch | MergeAndResend | Recreate | Discard | Ask
