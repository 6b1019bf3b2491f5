"""What a merge did, field by field, so that a person can read why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outlast.engines.json_values import Nothing, same


class Source(StrEnum):
    """Name where the value of a merged field came from."""

    OURS = "ours"
    THEIRS = "theirs"
    BOTH = "both"
    """Both sides had changed it to the same."""
    MERGED = "merged"
    """A rule made a new value of the two."""
    OPEN = "open"
    """Nobody has decided yet; theirs stands in."""


@dataclass(frozen=True, slots=True)
class FieldReport:
    """Show what became of a field that at least one side changed.

    Args:
        path: Where it is, names joined by dots, empty for the whole.
        source: Where its value came from.
        base: What both began with, ABSENT or UNKNOWN.
        ours: Our value, or ABSENT.
        theirs: Their value, or ABSENT.
        value: What it is now, or ABSENT.
        why: Why, in words.
    """

    path: str
    source: Source
    base: Any
    ours: Any
    theirs: Any
    value: Any
    why: str

    def to_data(self) -> dict[str, Any]:
        """Return it as plain JSON data; what is absent is left out, and an unknown base is named as such."""
        data: dict[str, Any] = {"path": self.path, "source": self.source.value, "why": self.why}
        for name in ("base", "ours", "theirs", "value"):
            value: Any = getattr(self, name)
            if not isinstance(value, Nothing):
                data[name] = value
        return data if self.base is not Nothing.UNKNOWN else {**data, "base_unknown": True}

    def __str__(self) -> str:
        """Return one line, such as `title: open, both sides changed it differently ('a' -> 'b' | 'c')`."""
        where = self.path or "the whole"
        return f"{where}: {self.source.value}, {self.why} ({self.base!r} -> {self.ours!r} | {self.theirs!r})"


@dataclass(frozen=True, slots=True)
class Merged:
    """Hold the result of a merge.

    Args:
        value: The merged value, or ABSENT; in fields that are open theirs stands in.
        theirs: What the others have, or ABSENT.
        fields: What became of each field that at least one side changed.
    """

    value: Any
    theirs: Any
    fields: tuple[FieldReport, ...]

    @property
    def open_paths(self) -> tuple[str, ...]:
        """Return the paths on which a person must decide."""
        return tuple(report.path for report in self.fields if report.source is Source.OPEN)

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left to decide."""
        return not self.open_paths

    @property
    def nothing_to_send(self) -> bool:
        """Tell whether the others already have the result."""
        return self.settled and same(self.value, self.theirs)

    def explain(self) -> str:
        """Return one line for each field that at least one side changed."""
        return "\n".join(map(str, self.fields))

    def to_data(self) -> dict[str, Any]:
        """Return it as plain JSON data, for the conflict inbox."""
        data: dict[str, Any] = {"fields": [report.to_data() for report in self.fields]}
        return data if isinstance(self.value, Nothing) else {**data, "value": self.value}
