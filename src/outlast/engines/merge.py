"""Merge two edits of one thing, field by field, on what both began with.

A field that only one side changed takes that side's value; one that both changed to the same is agreed on;
one that both changed differently is settled by the rule of its path. Objects are merged member by member,
everything else is one field. When the base is unknown, every field in which the sides differ counts as
changed by both, since nobody can say who did it. A side that is gone while the other was edited is a case
of its own. Rules are tried in `merge_rules`; a report says of each field where it came from.

Source: diff3, as described by S. Khanna, K. Kunal, B. C. Pierce, "A Formal Investigation of Diff3" (2007),
on the members of an object instead of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.engines.json_values import ABSENT, UNKNOWN, is_object, same
from outlast.engines.merge_report import FieldReport, Merged, Source
from outlast.engines.merge_rules import FieldConflict, FieldRule, Rule, Settled, Unsettled, apply_rule
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MergeRules:
    r"""Say what becomes of fields that both sides changed.

    A path joins names by dots, such as `address.city`; a dot within a name is written `\\.`. An object whose
    own path has a rule is one field.

    Args:
        fields: The rule of each path.
        default: The rule of every other field. Default ask.
        deleted: The rule for the whole when one side removed it and the other edited it. Default ask.

    Raises:
        ConfigError: One is neither a `Rule` nor a function.
    """

    fields: Mapping[str, FieldRule] = field(default_factory=dict[str, FieldRule])
    default: FieldRule = Rule.ASK
    deleted: FieldRule = Rule.ASK

    def __post_init__(self) -> None:
        """Refuse what is no rule now, and not at the first conflict."""
        named: list[tuple[str, object]] = [("default", self.default), ("deleted", self.deleted), *self.fields.items()]
        for name, rule in named:
            if not (isinstance(rule, Rule) or callable(rule)):
                known = ", ".join(f"Rule.{one.name}" for one in Rule)
                raise ConfigError(f"is neither a function nor one of {known}: {rule!r}", path=f"merge.{name}")


ASK_ALWAYS = MergeRules()


def merge(base: Any, ours: Any, theirs: Any, rules: MergeRules = ASK_ALWAYS) -> Merged:
    """Merge two edits of one value.

    Args:
        base: What both began with; ABSENT if there was nothing, UNKNOWN if it was not kept.
        ours: What we made of it; ABSENT if we removed it.
        theirs: What the others made of it; ABSENT if they removed it.
        rules: What becomes of fields that both changed.

    >>> merge({"n": 1, "t": "a"}, {"n": 2, "t": "a"}, {"n": 1, "t": "b"}).value
    {'n': 2, 't': 'b'}
    >>> merged = merge({"n": 1}, {"n": 2}, {"n": 3})
    >>> merged.settled, merged.open_paths
    (False, ('n',))
    >>> merge({"n": 1}, {"n": 2}, {"n": 3}, MergeRules({"n": Rule.MAX})).value
    {'n': 3}
    """
    reports: list[FieldReport] = []
    value = _Merger(rules, reports).whole(base, ours, theirs)
    return Merged(value=value, theirs=theirs, fields=tuple(reports))


def path_of(names: tuple[str, ...]) -> str:
    r"""Return the path of a field.

    >>> path_of(("a", "b.c"))
    'a.b\\.c'
    """
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


@dataclass(slots=True)
class _Merger:
    rules: MergeRules
    reports: list[FieldReport]

    def whole(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Merge entities; one that is gone on one side is settled by the rule for that."""
        if (ours is ABSENT) != (theirs is ABSENT):
            return self._one(FieldConflict("", base, ours, theirs), self.rules.deleted)
        return self._field((), base, ours, theirs)

    def _field(self, names: tuple[str, ...], base: Any, ours: Any, theirs: Any) -> Any:
        path = path_of(names)
        own_rule = self.rules.fields.get(path) if names else None
        conflict = FieldConflict(path, base, ours, theirs)
        if own_rule is None and is_object(ours) and is_object(theirs):
            return {name: value for name, value in self._members(names, conflict) if value is not ABSENT}
        return self._one(conflict, own_rule or self.rules.default)

    def _members(self, names: tuple[str, ...], whole: FieldConflict) -> Iterator[tuple[str, Any]]:
        # A base that is no object has no members; of an unknown one nobody knows them.
        absent = UNKNOWN if whole.base is UNKNOWN else ABSENT
        base = whole.base if is_object(whole.base) else {}
        # In the order of theirs, what they lack after it: the same whichever side is called ours, but for order.
        for name in dict.fromkeys((*whole.theirs, *whole.ours, *base)):
            theirs, ours = whole.theirs.get(name, ABSENT), whole.ours.get(name, ABSENT)
            yield name, self._field((*names, name), base.get(name, absent), ours, theirs)

    def _one(self, conflict: FieldConflict, rule: FieldRule) -> Any:
        """Settle one field, note how, and return its value; what is open stands as theirs."""
        source, value, why = _settle(conflict, rule)
        if source is not None:
            self.reports.append(
                FieldReport(conflict.path, source, conflict.base, conflict.ours, conflict.theirs, value, why)
            )
        return value


def _settle(conflict: FieldConflict, rule: FieldRule) -> tuple[Source | None, Any, str]:
    base, ours, theirs = conflict.base, conflict.ours, conflict.theirs
    if same(ours, theirs):
        unchanged = base is UNKNOWN or same(base, ours)
        return (None if unchanged else Source.BOTH), theirs, "both sides changed it to the same"
    if base is not UNKNOWN and same(theirs, base):
        return Source.OURS, ours, "only ours changed it"
    if base is not UNKNOWN and same(ours, base):
        return Source.THEIRS, theirs, "only theirs changed it"
    match apply_rule(rule, conflict):
        case Unsettled(why=why):
            return Source.OPEN, theirs, why
        case Settled(value=value, why=why):
            return _source_of(value, conflict), value, why


def _source_of(value: Any, conflict: FieldConflict) -> Source:
    if same(value, conflict.theirs):
        return Source.THEIRS
    return Source.OURS if same(value, conflict.ours) else Source.MERGED
