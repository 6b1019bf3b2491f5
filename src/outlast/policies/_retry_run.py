"""Follow one call through its attempts; the same for both colours and for the loop form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outlast.clock import Clock, Random
from outlast.engines import RetryConfig
from outlast.engines.retry import Failure, Stop, Wait, decide
from outlast.errors import ConfigError, RejectedError, classify
from outlast.events import EventBus, RetryGaveUp, RetryScheduled
from outlast.policies._deadline import remaining

ExceptionTypes = type[Exception] | tuple[type[Exception], ...]
RetryRule = Callable[[Exception], bool | None]
"""True: worth another attempt. False: not. None: what `classify` says."""

_KEPT = 5


@dataclass(frozen=True, slots=True)
class RetryParts:
    """Hold what every run of one policy shares."""

    name: str
    config: RetryConfig
    rule: RetryRule
    clock: Clock
    random: Random
    bus: EventBus


def rule_from(on: ExceptionTypes | RetryRule | None) -> RetryRule:
    """Return the rule that `on=` stands for.

    Raises:
        ConfigError: It is neither a rule nor exception types, or would catch cancellation.
    """
    if on is None:
        return _no_rule
    if isinstance(on, type):
        return _is_one_of(on)
    return on if callable(on) else _is_one_of(*on)


def _is_one_of(*kinds: type[Exception]) -> RetryRule:
    if not kinds or not all(_is_exception(kind) for kind in kinds):
        raise ConfigError(f"must name subclasses of Exception, not {kinds!r}; cancellation is never retried", path="on")
    return lambda error: isinstance(error, kinds)


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _no_rule(error: Exception) -> bool | None:
    del error
    return None


class RetryRun:
    """Count the attempts of one call and decide after each failure.

    Args:
        parts: What the policy shares.
        started: When the first attempt began, if somebody needed to know; else the first failure counts.
    """

    __slots__ = ("_earlier", "_first_failure", "_parts", "_started", "attempt")

    def __init__(self, parts: RetryParts, started: float | None) -> None:
        self._parts = parts
        self._started = started
        self._first_failure: float | None = None
        self._earlier: list[str] = []
        self.attempt = 1

    def failed(self, error: Exception) -> float | None:
        """Return the seconds to wait before the next attempt, or None when the error must be raised.

        Args:
            error: How the present attempt ended. On None it has got a note that says why.
        """
        parts, now = self._parts, self._parts.clock.now()
        if self._first_failure is None:
            self._first_failure = now
        match decide(parts.config, self._describe(error, now), parts.random.random()):
            case Wait(seconds=seconds):
                self._go_on(error, now, seconds)
                return seconds
            case Stop(reason=reason):
                self._give_up(error, now, now - self._first_failure, reason)
                return None

    def _describe(self, error: Exception, now: float) -> Failure:
        begun = self._started if self._started is not None else self._first_failure
        return Failure(
            attempt=self.attempt,
            meaning=classify(error),
            listed=self._parts.rule(error),
            elapsed=0.0 if begun is None else now - begun,
            remaining=remaining(),
            rejected=isinstance(error, RejectedError),
        )

    def _go_on(self, error: Exception, now: float, wait: float) -> None:
        kind = type(error).__name__
        self._parts.bus.emit(
            RetryScheduled, source=self._parts.name, at=now, attempt=self.attempt, wait=wait, error=kind
        )
        self._earlier.append(kind)
        self.attempt += 1

    def _give_up(self, error: Exception, now: float, since: float, reason: str) -> None:
        kind = type(error).__name__
        self._parts.bus.emit(
            RetryGaveUp, source=self._parts.name, at=now, attempts=self.attempt, reason=reason, error=kind
        )
        _note(error, f"outlast {self._parts.name}:", f" {self._history(since)}; no further attempt: {reason}")

    def _history(self, since: float) -> str:
        if not self._earlier:
            return "1 attempt"
        dots = "..., " if len(self._earlier) > _KEPT else ""
        earlier = dots + ", ".join(self._earlier[-_KEPT:])
        return f"{self.attempt} attempts, {since:.3g} s since the first failure, after {earlier}"


def _note(error: BaseException, head: str, text: str) -> None:
    # An exception object may be raised again and again (a module's constant, say): replace our note, do not pile up.
    notes: list[str] = getattr(error, "__notes__", [])
    kept = [note for note in notes if not note.startswith(head)]
    if len(kept) != len(notes):
        notes[:] = kept
    error.add_note(head + text)
