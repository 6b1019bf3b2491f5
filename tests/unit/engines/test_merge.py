import json

import pytest

from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.engines.merge import MergeRules, merge, path_of
from outlast.engines.merge_report import Source
from outlast.engines.merge_rules import Rule
from outlast.errors import ConfigError


def only(merged):
    """Return the one field of a report as (path, source, value)."""
    (report,) = merged.fields
    return report.path, report.source, report.value


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "value", "source"),
    [
        pytest.param(1, 2, 1, 2, Source.OURS, id="only-ours"),
        pytest.param(1, 1, 2, 2, Source.THEIRS, id="only-theirs"),
        pytest.param(1, 2, 2, 2, Source.BOTH, id="both-the-same"),
        pytest.param(1, ABSENT, 1, ABSENT, Source.OURS, id="we-removed-it"),
        pytest.param(1, 1, ABSENT, ABSENT, Source.THEIRS, id="they-removed-it"),
        pytest.param(1, ABSENT, ABSENT, ABSENT, Source.BOTH, id="both-removed-it"),
        pytest.param(ABSENT, 1, ABSENT, 1, Source.OURS, id="we-added-it"),
        pytest.param(ABSENT, ABSENT, 1, 1, Source.THEIRS, id="they-added-it"),
        pytest.param(1, 2, 3, 3, Source.OPEN, id="differently"),
        pytest.param(1, 2, ABSENT, ABSENT, Source.OPEN, id="edited-and-removed"),
        pytest.param(1, ABSENT, 2, 2, Source.OPEN, id="removed-and-edited"),
        pytest.param(ABSENT, 1, 2, 2, Source.OPEN, id="added-differently"),
        pytest.param(UNKNOWN, 1, 2, 2, Source.OPEN, id="nobody-knows-who"),
        pytest.param(UNKNOWN, 1, ABSENT, ABSENT, Source.OPEN, id="added-or-removed-nobody-knows"),
        pytest.param(None, False, None, False, Source.OURS, id="null-is-a-value"),
        pytest.param(1, True, 1, True, Source.OURS, id="true-is-not-1"),
    ],
)
def test_one_field(base, ours, theirs, value, source):
    """Who changed a field decides it, and a person where both did; theirs stands in until then."""
    wrap = {ABSENT: {}, UNKNOWN: {}}
    sides = [wrap[side] if isinstance(side, type(ABSENT)) else {"f": side} for side in (ours, theirs)]
    before = UNKNOWN if base is UNKNOWN else wrap[ABSENT] if base is ABSENT else {"f": base}

    merged = merge(before, *sides)

    assert only(merged) == ("f", source, value)
    assert merged.value == ({} if value is ABSENT else {"f": value})
    assert merged.settled == (source is not Source.OPEN)


@pytest.mark.parametrize(
    ("rule", "base", "ours", "theirs", "value", "source"),
    [
        (Rule.OURS, 1, 2, 3, 2, Source.OURS),
        (Rule.THEIRS, 1, 2, 3, 3, Source.THEIRS),
        (Rule.MAX, 1, 2, 3, 3, Source.THEIRS),
        (Rule.MIN, 1, 2, 3, 2, Source.OURS),
        (Rule.MAX, "2026-01-01", "2026-03-01", "2026-02-01", "2026-03-01", Source.OURS),
        (Rule.MAX, 1, 2, ABSENT, 2, Source.OURS),
        (Rule.MIN, 1, ABSENT, 2, 2, Source.THEIRS),
        (Rule.MAX, 1, 2, "3", "3", Source.OPEN),
        (Rule.MAX, 1, True, 3, 3, Source.OPEN),
        (Rule.MIN, 1, [1], [2], [2], Source.OPEN),
        (Rule.UNION, ["a", "b"], ["b", "x"], ["a", "b", "c"], ["b", "c", "x"], Source.MERGED),
        (Rule.UNION, ABSENT, ["b", "a"], ["c", "a"], ["a", "b", "c"], Source.MERGED),
        (Rule.UNION, [1], [1, 2], [1, 2.0, 3], [1, 2, 3], Source.THEIRS),
        (Rule.UNION, [], [True, {"k": 1, "j": 2}], [1, {"j": 2, "k": 1}], [True, {"k": 1, "j": 2}, 1], Source.MERGED),
        (Rule.UNION, ["a"], ABSENT, ["a", "b"], ["a", "b"], Source.THEIRS),
        (Rule.UNION, ["a"], ["b"], ABSENT, ["b"], Source.OURS),
        (Rule.UNION, ["a"], "b", ["c"], ["c"], Source.OPEN),
        (Rule.UNION, [], [[2], None, "x"], [[1], "x"], [None, [1], [2], "x"], Source.MERGED),
        (Rule.ASK, 1, 2, 3, 3, Source.OPEN),
        (lambda c: c.ours + c.theirs - c.base, 10, 11, 15, 16, Source.MERGED),
        (lambda c: ABSENT, 1, 2, 3, ABSENT, Source.MERGED),
        (lambda c: Rule.ASK, 1, 2, 3, 3, Source.OPEN),
        (lambda c: Rule.MAX, 1, 5, 3, 5, Source.OURS),
    ],
)
def test_rules(rule, base, ours, theirs, value, source):
    """Each rule settles what both sides changed, or says that it cannot."""
    base, ours, theirs = ({} if side is ABSENT else {"f": side} for side in (base, ours, theirs))

    merged = merge(base, ours, theirs, MergeRules({"f": rule}))

    assert only(merged)[:2] == ("f", source)
    assert merged.value == ({} if value is ABSENT else {"f": value})


def test_members_of_objects_are_fields():
    """A rule reaches into objects; two sides that made an object where there was none merge its members."""
    base = {"home": {"city": "A", "street": "S"}}
    ours = {"home": {"city": "B", "street": "S"}, "work": {"city": "X", "n": 1}}
    theirs = {"home": {"city": "A", "street": "T"}, "work": {"city": "Y", "m": 2}}

    merged = merge(base, ours, theirs, MergeRules({"work.city": Rule.OURS}))

    assert merged.value == {"home": {"city": "B", "street": "T"}, "work": {"city": "X", "n": 1, "m": 2}}
    assert {report.path: report.source.value for report in merged.fields} == {
        "home.city": "ours", "home.street": "theirs", "work.city": "ours", "work.n": "ours", "work.m": "theirs",
    }  # fmt: skip


def test_an_object_with_a_rule_is_one_field():
    """Half of our address and half of theirs would be nobody's."""
    base, ours, theirs = ({"home": {"city": c, "street": s}} for c, s in ("AS", "BS", "AT"))

    merged = merge(base, ours, theirs, MergeRules({"home": Rule.OURS}))

    assert merged.value == ours
    assert only(merged)[:2] == ("home", Source.OURS)


def test_an_object_against_something_else_is_one_field():
    """There are no members to be merged."""
    assert merge({"f": 1}, {"f": {"a": 1}}, {"f": 2}).open_paths == ("f",)


def test_names_with_dots_have_paths_of_their_own():
    r"""`a.b` is a member of `a`, `a\\.b` is a name with a dot."""
    merged = merge({"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 2}}, {"a.b": 3, "a": {"b": 3}},
                   MergeRules({r"a\.b": Rule.OURS, "a.b": Rule.THEIRS}))  # fmt: skip

    assert merged.value == {"a.b": 2, "a": {"b": 3}}
    assert path_of(("back\\slash", "x")) == r"back\\slash.x"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "rule", "value", "source"),
    [
        pytest.param({"n": 1}, ABSENT, {"n": 1}, Rule.ASK, ABSENT, "ours", id="deleted-and-untouched"),
        pytest.param({"n": 1}, {"n": 1}, ABSENT, Rule.ASK, ABSENT, "theirs", id="untouched-and-deleted"),
        pytest.param({"n": 1}, ABSENT, {"n": 2}, Rule.ASK, {"n": 2}, "open", id="deleted-and-edited"),
        pytest.param({"n": 1}, {"n": 2}, ABSENT, Rule.ASK, ABSENT, "open", id="edited-and-deleted"),
        pytest.param({"n": 1}, {"n": 2}, ABSENT, Rule.OURS, {"n": 2}, "ours", id="make-it-again"),
        pytest.param({"n": 1}, {"n": 2}, ABSENT, Rule.THEIRS, ABSENT, "theirs", id="let-it-go"),
        pytest.param({"n": 1}, ABSENT, {"n": 2}, Rule.OURS, ABSENT, "ours", id="delete-all-the-same"),
        pytest.param({"n": 1}, ABSENT, {"n": 2}, lambda c: c.theirs, {"n": 2}, "theirs", id="a-function"),
        pytest.param(UNKNOWN, ABSENT, {"n": 2}, Rule.ASK, {"n": 2}, "open", id="deleted-without-a-base"),
    ],
)
def test_deleted_against_edited(base, ours, theirs, rule, value, source):
    """The whole that is gone on one side follows a rule of its own, not that of the fields."""
    merged = merge(base, ours, theirs, MergeRules(default=Rule.MAX, deleted=rule))

    assert merged.value == value
    assert only(merged)[:2] == ("", Source(source))


def test_both_deleted_is_nothing_to_do():
    """Both wanted it gone, and it is."""
    merged = merge({"n": 1}, ABSENT, ABSENT)

    assert (merged.value, merged.nothing_to_send) == (ABSENT, True)


@pytest.mark.parametrize(
    ("ours", "theirs", "rules", "nothing"),
    [
        pytest.param({"n": 2}, {"n": 2}, {}, True, id="they-did-the-same"),
        pytest.param({"n": 2}, {"n": 3}, {"n": Rule.THEIRS}, True, id="theirs-wins"),
        pytest.param({"n": 2}, {"n": 3}, {"n": Rule.OURS}, False, id="ours-wins"),
        pytest.param({"n": 2}, {"n": 3}, {}, False, id="open"),
    ],
)
def test_nothing_to_send(ours, theirs, rules, nothing):
    """A settled result that the others already have need not be sent."""
    assert merge({"n": 1}, ours, theirs, MergeRules(rules)).nothing_to_send is nothing


def test_a_person_can_read_why():
    """The report says of each field where it came from, in words and as data."""
    merged = merge({"n": 1, "t": "a"}, {"n": 2, "t": "b"}, {"n": 1, "t": "c", "new": 1})

    assert merged.explain().splitlines() == [
        "n: ours, only ours changed it (1 -> 2 | 1)",
        "t: open, both sides changed it differently ('a' -> 'b' | 'c')",
        "new: theirs, only theirs changed it (ABSENT -> ABSENT | 1)",
    ]
    data = json.loads(json.dumps(merged.to_data()))
    assert data["value"] == {"n": 2, "t": "c", "new": 1}
    assert data["fields"][2] == {"path": "new", "source": "theirs", "why": "only theirs changed it",
                                 "theirs": 1, "value": 1}  # fmt: skip
    whole = merge(UNKNOWN, {"n": 1}, ABSENT)
    assert whole.explain().startswith("the whole: open")
    assert whole.to_data() == {"fields": [{"path": "", "source": "open", "base_unknown": True, "ours": {"n": 1},
                                           "why": "both sides changed it differently"}]}  # fmt: skip


def test_what_a_function_raises_passes_through():
    """A mistake in a user's function is the user's to see."""
    with pytest.raises(ZeroDivisionError):
        merge({"n": 1}, {"n": 2}, {"n": 3}, MergeRules({"n": lambda c: 1 / 0}))


def test_long_lists_are_united_in_one_walk():
    """Lists of many thousand items, as they fit into one body, take no longer than it takes to read them some times."""
    ours, theirs = [f"a{n:05}" for n in range(20_000)], [f"b{n:05}" for n in range(20_000)]

    merged = merge({"tags": []}, {"tags": ours}, {"tags": theirs}, MergeRules(default=Rule.UNION))

    assert merged.value == {"tags": ours + theirs}


@pytest.mark.parametrize("where", ["title", "default", "deleted"])
def test_what_is_no_rule_is_refused_at_once(where):
    """A name in quotes is not a rule, and is not found out by the first conflict."""
    rules = {"fields": {where: "union"}} if where == "title" else {where: "union"}
    with pytest.raises(ConfigError, match=f"merge.{where}: is neither a function nor one of Rule.OURS, .*: 'union'"):
        MergeRules(**rules)
