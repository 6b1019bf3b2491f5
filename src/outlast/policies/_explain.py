"""Say what a stack of policies does: the tree, the worst that one call can cost, and what the linter found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outlast.engines.worst import Worst
from outlast.policies._lint import Finding, lint
from outlast.policies._policy import Policy


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold what `Pipeline.explain` prints.

    Args:
        name: The pipeline's name.
        tree: One line for each policy with how deep it stands, outermost first; the call itself is the last.
        worst: The worst that one call can cost.
        findings: What the linter noticed, the gravest first.
    """

    name: str
    tree: tuple[tuple[int, str], ...]
    worst: Worst
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values for JSON; a latency without a bound is None."""
        bounded = math.isfinite(self.worst.latency)
        return {
            "name": self.name,
            "tree": [{"depth": depth, "text": text} for depth, text in self.tree],
            "worst_latency": self.worst.latency if bounded else None,
            "worst_calls": self.worst.calls,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        """Return the tree, the worst case and the findings, for people."""
        lines = [f"pipeline {self.name!r}", *(f"{'   ' * depth}└─ {text}" for depth, text in self.tree)]
        lines.append(f"worst case of one call: {_latency(self.worst.latency)}, {_calls(self.worst.calls)}")
        return "\n".join([*lines, *map(str, self.findings)])


def _latency(seconds: float) -> str:
    return f"{seconds:.4g} s" if math.isfinite(seconds) else "no limit in time"


def _calls(calls: float) -> str:
    return "1 call of the function" if calls == 1 else f"{calls:g} calls of the function"


def explain(name: str, policies: Sequence[Policy]) -> Explanation:
    """Explain policies in a row.

    Args:
        name: What they are called together.
        policies: Outermost first.
    """
    worst = Worst()
    for policy in reversed(policies):
        worst = policy.worst(worst)
    lines = list(_lines(policies, 0))
    return Explanation(name, (*lines, (_depth_after(lines), "the call")), worst, lint(policies))


def _lines(policies: Sequence[Policy], depth: int) -> Iterator[tuple[int, str]]:
    for policy in policies:
        yield depth, policy.describe()
        depth += 1
        # What stands in an inner pipeline stands inside it, and all that follows inside of that.
        inner: Sequence[Policy] = getattr(policy, "policies", ())
        lines = list(_lines(inner, depth))
        yield from lines
        depth += len(lines)


def _depth_after(lines: Sequence[tuple[int, str]]) -> int:
    return lines[-1][0] + 1 if lines else 0
