"""What goes wrong among machines that must agree: who leads, who is a member, what was committed."""

from __future__ import annotations

from typing import Any

from outlast.errors._base import Category, Outcome, OutlastError


class ClusterError(OutlastError):
    """A cluster operation failed."""


class NotLeaderError(ClusterError):
    """This node does not lead and has done nothing; ask the leader.

    Args:
        message: What was asked of which node.
        leader_hint: The address or id of the node that probably leads, or None when nobody is known to.
        **fields: As for `OutlastError`.
    """

    default_category = Category.RETRIABLE

    def __init__(self, message: str = "", *, leader_hint: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.leader_hint = leader_hint


class LeadershipLostError(ClusterError):
    """The leader changed while the operation was under way; it may have been committed."""

    default_category = Category.RETRIABLE
    default_outcome = Outcome.IN_DOUBT


class QuorumLostError(ClusterError):
    """Too few members answer to decide anything.

    What was proposed before may still be committed when they return, so its outcome is in doubt.

    Args:
        message: What could not be decided.
        reachable: Members that answered, or None when unknown.
        needed: Members that must, or None when unknown.
        **fields: As for `OutlastError`.
    """

    default_category = Category.TRANSIENT
    default_outcome = Outcome.IN_DOUBT

    def __init__(
        self, message: str = "", *, reachable: int | None = None, needed: int | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.reachable = reachable
        self.needed = needed


class StaleEpochError(ClusterError):
    """A newer holder has taken over; whoever gets this must stop acting at once.

    Args:
        message: What was refused.
        held: The epoch or fencing token of the caller, or None.
        current: The one that is in force, or None.
        **fields: As for `OutlastError`.
    """

    default_category = Category.FATAL

    def __init__(
        self, message: str = "", *, held: int | None = None, current: int | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.held = held
        self.current = current


class MembershipLostError(ClusterError):
    """The lease of this member ran out; it must join again before it acts."""

    default_category = Category.RETRIABLE


class RebalancingError(ClusterError):
    """The work is being dealt out anew; nobody owns this part of it just now."""

    default_category = Category.TRANSIENT


class ClusterFullError(ClusterError):
    """The space or the quota of the consensus store is used up."""

    default_category = Category.TRANSIENT


class HistoryCompactedError(ClusterError):
    """The revision that was asked for is no longer kept; read the present state and watch from there.

    Args:
        message: What was asked for.
        oldest: The oldest revision that is still kept, or None when unknown.
        **fields: As for `OutlastError`.
    """

    default_category = Category.INVALID_INPUT

    def __init__(self, message: str = "", *, oldest: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.oldest = oldest
