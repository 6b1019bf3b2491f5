"""Which of several answers stands in for a call that failed, and how often it came to that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
    """Show how calls through a fallback ended.

    Args:
        primary_ok: The call itself answered.
        fallback_ok: It failed, and a fallback answered.
        fallback_failed: It failed, and so did every fallback.
        passed: It failed with something that is not the fallback's business, which was raised.
    """

    primary_ok: int
    fallback_ok: int
    fallback_failed: int
    passed: int


class FallbackEngine:
    """Count how calls end. `primary_ok` is a plain counter that the face bumps without a lock.

    The rest is called under the face's lock. A bump that is lost by a build without a global lock makes a
    statistic wrong by one and nothing else.

    Args:
        links: How many fallbacks there are.
    """

    def __init__(self, links: int) -> None:
        self.links = links
        self.primary_ok = 0
        self._fallback_ok = self._fallback_failed = self._passed = 0

    def passed(self) -> None:
        """Count a failure that was raised as it was."""
        self._passed += 1

    def ended(self, rescue: Rescue) -> None:
        """Count how a rescue ended; one that was cancelled on the way counts for nothing."""
        match rescue.answered:
            case True:
                self._fallback_ok += 1
            case False:
                self._fallback_failed += 1
            case None:
                pass

    def snapshot(self) -> FallbackSnapshot:
        """Return the counts as a frozen record."""
        return FallbackSnapshot(self.primary_ok, self._fallback_ok, self._fallback_failed, self._passed)


class Rescue:
    """Go through the fallbacks of one failed call, in their order, each only if the one before failed.

    Args:
        links: How many there are.
        error: How the call failed.
    """

    __slots__ = ("_links", "answered", "earlier", "error", "first", "link")

    def __init__(self, links: int, error: Exception) -> None:
        self._links = links
        self.first = error
        self.error = error
        self.earlier: list[str] = []
        self.link = 0
        self.answered: bool | None = None

    def failed(self, error: Exception) -> bool:
        """Take note that the present fallback failed; True says that there is another, which is present now."""
        self.earlier.append(type(self.error).__name__)
        self.error = error
        self.link += 1
        if self.link < self._links:
            return True
        self.answered = False
        return False

    def succeeded(self) -> None:
        """Take note that the present fallback answered."""
        self.answered = True
