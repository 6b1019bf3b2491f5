"""Follow one call through its attempts; the same for both colours and for the loop form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from outlast.clock import Clock, Random
from outlast.engines import RetryConfig
from outlast.engines.budget import BudgetEngine
from outlast.engines.retry import Failure, Stop, Wait, decide
from outlast.errors import Category, Classification, ConfigError, Outcome, RejectedError, classify
from outlast.events import EventBus, RetryGaveUp, RetryScheduled
from outlast.policies._budget import RetryBudget
from outlast.policies._deadline import remaining
from outlast.policies._notes import note
from outlast.policies._stand_down import MARKS, is_retried_above

ExceptionTypes = type[Exception] | tuple[type[Exception], ...]
RetryRule = Callable[[Exception], bool | None]
"""True: worth another attempt. False: not. None: what `classify` says."""

AgainRule = Callable[[Any], bool]
"""Tell whether a result is one to ask again for."""

_KEPT = 5
_UNWANTED_RESULT = Classification(Category.RETRIABLE, Outcome.NOT_APPLIED)


@dataclass(frozen=True, slots=True)
class RetryParts:
    """Hold what every run of one policy shares; replaced as a whole when it is reconfigured.

    Args:
        name: Shown in notes and events.
        config: The settings.
        rule: Which failures to try again.
        again: Which results to try again, or None.
        budget: Pays for attempts after the first, or None when nothing does.
        meter: Counts the calls that pay in.
        clock: Tells the time and waits.
        random: Spreads the waits.
        bus: Takes the events.
    """

    name: str
    config: RetryConfig
    rule: RetryRule
    again: AgainRule | None
    budget: RetryBudget | None
    meter: BudgetEngine
    clock: Clock
    random: Random
    bus: EventBus

    @property
    def watched(self) -> bool:
        """Tell whether a call must be watched from its beginning: for the time that it takes, or for its result."""
        return self.again is not None or self.config.max_elapsed is not None


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
        begun: The latest mark of a retry that gave up, when the first attempt began.
        started: When the first attempt began, if somebody needed to know; else the first failure counts.
    """

    __slots__ = ("_begun", "_earlier", "_first_failure", "_parts", "_previous", "_started", "attempt", "clock")

    def __init__(self, parts: RetryParts, begun: int, started: float | None = None) -> None:
        self._parts = parts
        self.clock = parts.clock
        self._started = started
        self._begun = begun
        self._first_failure: float | None = None
        self._previous: float | None = None
        self._earlier: list[str] = []
        self.attempt = 1

    def failed(self, error: Exception) -> float | None:
        """Return the seconds to wait before the next attempt, or None when the error must be raised.

        Args:
            error: How the present attempt ended. On None it has got a note that says why.
        """
        now, kind = self.clock.now(), type(error).__name__
        step = self._decide(now, self._describe(error, now))
        match step:
            case Wait(seconds=seconds):
                return self._go_on(kind, now, seconds)
            case Stop(reason=reason, final=final):
                self._give_up(kind, now, reason)
                if final:
                    MARKS.put(error)
                since = 0.0 if self._first_failure is None else now - self._first_failure
                note(error, f"outlast {self._parts.name}:", f" {self._history(since)}; no further attempt: {reason}")
                return None

    def answered(self, result: Any) -> float | None:
        """Return the seconds to wait after a result that is to be asked for again, or None when it will do."""
        if self._parts.again is None or not self._parts.again(result):
            return None
        now = self.clock.now()
        match self._decide(now, self._about(_UNWANTED_RESULT, now, listed=True)):
            case Wait(seconds=seconds):
                return self._go_on("result", now, seconds)
            case Stop(reason=reason):
                self._give_up("result", now, reason)
                return None

    def _decide(self, now: float, failure: Failure) -> Wait | Stop:
        if self._first_failure is None:
            self._first_failure = now
        parts = self._parts
        step = decide(parts.config, failure, parts.random.random())
        # Taken at the decision, not after the wait: retries that wait are on their way already.
        if isinstance(step, Wait) and parts.budget is not None and not parts.budget.take():
            return Stop("the retry budget is spent", final=True)
        return step

    def _describe(self, error: Exception, now: float) -> Failure:
        return self._about(
            classify(error),
            now,
            listed=self._parts.rule(error),
            rejected=isinstance(error, RejectedError),
            given_up=MARKS.since(error, self._begun),
        )

    def _about(
        self,
        meaning: Classification,
        now: float,
        *,
        listed: bool | None,
        rejected: bool = False,
        given_up: bool = False,
    ) -> Failure:
        begun = self._started if self._started is not None else self._first_failure
        return Failure(
            attempt=self.attempt,
            meaning=meaning,
            listed=listed,
            elapsed=0.0 if begun is None else now - begun,
            remaining=remaining(),
            rejected=rejected,
            previous=self._previous,
            given_up=given_up,
            retried_above=is_retried_above(),
        )

    def _go_on(self, kind: str, now: float, wait: float) -> float:
        self._parts.bus.emit(
            RetryScheduled, source=self._parts.name, at=now, attempt=self.attempt, wait=wait, error=kind
        )
        self._earlier.append(kind)
        self._previous, self._begun = wait, MARKS.latest
        self.attempt += 1
        return wait

    def _give_up(self, kind: str, now: float, reason: str) -> None:
        self._parts.bus.emit(
            RetryGaveUp, source=self._parts.name, at=now, attempts=self.attempt, reason=reason, error=kind
        )

    def _history(self, since: float) -> str:
        if not self._earlier:
            return "1 attempt"
        dots = "..., " if len(self._earlier) > _KEPT else ""
        earlier = dots + ", ".join(self._earlier[-_KEPT:])
        return f"{self.attempt} attempts, {since:.3g} s since the first failure, after {earlier}"
