"""Look through a stack of policies for orders and numbers that do not do what their author meant.

Each finding has a code that stays, a severity, why it matters here, and what to do. The rules stand in
`_lint_order` (who is inside whom) and `_lint_amount` (how long, how often).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outlast.engines.worst import Worst
from outlast.policies._policy import Policy

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_INNERMOST = Worst()


class Severity(StrEnum):
    """Say how bad a finding is."""

    ERROR = "error"
    """It will do something else than what was meant."""
    WARNING = "warning"
    """It is probably not what was meant, or it will hurt in an outage."""
    ADVICE = "advice"
    """It works; saying or changing something makes it safer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Describe one thing that the linter noticed.

    Args:
        code: Its name, such as `timeout-outside-breaker`; it stays the same from version to version.
        severity: How bad it is.
        where: The policies concerned, outermost first.
        why: Why it matters, with the numbers of this stack.
        remedy: What to do about it.
    """

    code: str
    severity: Severity
    where: str
    why: str
    remedy: str

    def __str__(self) -> str:
        """Return it on two lines."""
        return f"{self.severity.value} {self.code}: {self.where}: {self.why}\n  -> {self.remedy}"


@dataclass(frozen=True, slots=True)
class Layer:
    """Be one policy of a stack, with the pipelines inside it opened up.

    Args:
        policy: The policy.
        kind: What it is, such as `circuit_breaker`, whatever its class is called.
        settings: Its settings, defaults included.
        place: Where it stands, counted from the outside, from 0.
    """

    policy: Policy
    kind: str
    settings: dict[str, Any]
    place: int

    @property
    def label(self) -> str:
        """Return what the findings call it."""
        name = getattr(self.policy, "name", self.kind)
        return self.kind if name == self.kind else f"{self.kind} {name!r}"

    @property
    def limit(self) -> float:
        """Return the seconds that a timeout gives to a call, or a retry to one attempt; inf when it gives no limit."""
        seconds = self.settings.get("seconds" if self.kind == "timeout" else "attempt_timeout")
        if isinstance(seconds, Policy):
            seconds = seconds.settings()["seconds"]
        return math.inf if seconds is None else float(seconds)


Rule = Callable[["Stack"], Iterator[Finding]]


class Stack:
    """Give the rules what they ask about policies in a row, outermost first.

    Args:
        policies: The policies; a pipeline among them stands for its own.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.layers = tuple(
            Layer(policy, kind_of(policy), policy.settings(), place) for place, policy in enumerate(flat(policies))
        )

    def of(self, *kinds: str) -> Iterator[Layer]:
        """Yield the layers of some kinds, outermost first."""
        return (layer for layer in self.layers if layer.kind in kinds)

    def outside(self, layer: Layer, *kinds: str) -> list[Layer]:
        """Return the layers of some kinds around another."""
        return [other for other in self.of(*kinds) if other.place < layer.place]

    def inside(self, layer: Layer, *kinds: str) -> list[Layer]:
        """Return the layers of some kinds within another."""
        return [other for other in self.of(*kinds) if other.place > layer.place]

    def limits_outside(self, layer: Layer) -> list[Layer]:
        """Return what limits the time of a layer from around it: timeouts, and retries that limit each attempt."""
        return [outer for outer in self.outside(layer, "timeout", "retry") if outer.limit < math.inf]

    def limits_inside(self, layer: Layer) -> list[Layer]:
        """Return what limits the time of what is within a layer."""
        return [inner for inner in self.inside(layer, "timeout", "retry") if inner.limit < math.inf]

    def worst(self, within: Layer | None = None) -> Worst:
        """Return the worst of one call of the stack, or of what is within one of its layers."""
        least = -1 if within is None else within.place
        worst = _INNERMOST
        for layer in reversed(self.layers):
            if layer.place > least:
                worst = layer.policy.worst(worst)
        return worst


def flat(policies: Sequence[Policy]) -> Iterator[Policy]:
    """Yield policies in a row, and those of pipelines among them in their place."""
    for policy in policies:
        members: Sequence[Policy] | None = getattr(policy, "policies", None)
        if kind_of(policy) in {"pipeline", "keyed_pipeline"} and members is not None:
            yield from flat(members)
        else:
            yield policy


def kind_of(policy: Policy | type[Policy]) -> str:
    """Return what a policy is, in snake case: for a subclass of one of ours, what that is.

    >>> from outlast.policies import CircuitBreaker
    >>> kind_of(CircuitBreaker)
    'circuit_breaker'
    """
    cls = policy if isinstance(policy, type) else type(policy)
    ours = next((base for base in cls.__mro__ if base.__module__.startswith("outlast.policies.")), cls)
    return _WORD.sub("_", (cls if ours is Policy else ours).__name__).lower()


def lint(policies: Sequence[Policy]) -> tuple[Finding, ...]:
    """Return what is odd about policies in a row, the gravest first and otherwise in the order of the rules.

    Args:
        policies: Outermost first.
    """
    from outlast.policies._lint_amount import AMOUNT_RULES
    from outlast.policies._lint_order import ORDER_RULES

    stack = Stack(policies)
    findings = [finding for rule in (*ORDER_RULES, *AMOUNT_RULES) for finding in rule(stack)]
    return tuple(sorted(findings, key=lambda finding: tuple(Severity).index(finding.severity)))
