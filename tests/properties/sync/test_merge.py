"""Laws of the three-way merge."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from json_strategies import OBJECTS, VALUES

from outlast.engines.json_values import ABSENT, UNKNOWN, identity, same
from outlast.engines.merge import MergeRules, merge
from outlast.engines.merge_patch import apply_patch
from outlast.engines.merge_report import Source
from outlast.engines.merge_rules import Rule

SIDES = st.one_of(st.just(ABSENT), VALUES)
BASES = st.one_of(st.just(UNKNOWN), SIDES)
RULES = st.builds(
    MergeRules,
    st.dictionaries(st.sampled_from(["a", "b", "c", "a.b", "b.c"]), st.sampled_from(Rule)),
    st.sampled_from(Rule),
    st.sampled_from(Rule),
)
SYMMETRIC = [Rule.MAX, Rule.MIN, Rule.UNION, Rule.ASK]


@given(one=VALUES, other=VALUES)
def test_what_is_found_among_many_is_what_is_the_same(one, other):
    """The form by which an item is looked up tells items apart exactly as a comparison does."""
    assert (identity(one) == identity(other)) == same(one, other)


@given(base=SIDES, theirs=SIDES, rules=RULES)
def test_who_changed_nothing_gets_theirs(base, theirs, rules):
    """merge(b, b, t) = t."""
    merged = merge(base, base, theirs, rules)

    assert merged.settled
    assert same(merged.value, theirs)


@given(base=SIDES, ours=SIDES, rules=RULES)
def test_what_only_we_changed_is_kept(base, ours, rules):
    """merge(b, o, b) = o."""
    merged = merge(base, ours, base, rules)

    assert merged.settled
    assert same(merged.value, ours)


@given(base=BASES, both=SIDES, rules=RULES)
def test_agreement_is_kept_and_not_sent(base, both, rules):
    """merge(b, x, x) = x, with nothing to send."""
    merged = merge(base, both, both, rules)

    assert same(merged.value, both)
    assert merged.nothing_to_send


@given(base=OBJECTS, ours=OBJECTS, theirs=OBJECTS, rules=RULES)
def test_disjoint_edits_are_both_kept_in_either_order(base, ours, theirs, rules):
    """Where nobody touched what the other did, both edits are there, whoever is called ours."""
    mine = {name: value for name, value in ours.items() if name == "a"}
    other = {name: value for name, value in theirs.items() if name in "bc"}
    left, right = {**base, **mine}, {**base, **other}

    merged, mirrored = merge(base, left, right, rules), merge(base, right, left, rules)

    assert merged.settled
    assert same(merged.value, {**base, **mine, **other})
    assert same(mirrored.value, merged.value)


@given(base=BASES, ours=SIDES, theirs=SIDES, rule=st.sampled_from(SYMMETRIC))
def test_symmetric_rules_do_not_care_who_is_ours(base, ours, theirs, rule):
    """Max, min and union commute; what is open is open for both."""
    rules = MergeRules(default=rule, deleted=rule)
    merged, mirrored = merge(base, ours, theirs, rules), merge(base, theirs, ours, rules)

    assert sorted(merged.open_paths) == sorted(mirrored.open_paths)
    if merged.settled:
        assert same(merged.value, mirrored.value)


@given(base=BASES, ours=SIDES, theirs=SIDES)
def test_ours_and_theirs_mirror_each_other(base, ours, theirs):
    """To prefer ours is to prefer theirs, seen from the other side."""
    one = merge(base, ours, theirs, MergeRules(default=Rule.OURS, deleted=Rule.OURS))
    two = merge(base, theirs, ours, MergeRules(default=Rule.THEIRS, deleted=Rule.THEIRS))

    assert same(one.value, two.value)


def at(value, path):
    """Return what stands at a path of single letters."""
    for name in path.split(".") if path else ():
        value = value.get(name, ABSENT) if isinstance(value, dict) else ABSENT
    return value


@given(base=BASES, ours=SIDES, theirs=SIDES, rules=RULES)
def test_nothing_comes_from_nowhere_and_nothing_is_lost_unsaid(base, ours, theirs, rules):
    """The report is true: each field stands where it says, and an edit that is not in the result is listed."""
    merged = merge(base, ours, theirs, rules)

    for report in merged.fields:
        assert same(at(merged.value, report.path), report.value)
        assert same(at(ours, report.path), report.ours)
        assert same(at(theirs, report.path), report.theirs)
        match report.source:
            case Source.OURS:
                assert same(report.value, report.ours)
            case Source.THEIRS | Source.OPEN | Source.BOTH:
                assert same(report.value, report.theirs)
            case Source.MERGED:
                assert not same(report.value, report.ours)
                assert not same(report.value, report.theirs)
    if same(ours, theirs):
        return
    mentioned = {report.path for report in merged.fields}
    for name in "abc":
        if not same(at(ours, name), at(merged.value, name)):
            assert any(path in {"", name} or path.startswith(f"{name}.") for path in mentioned)


@given(base=BASES, ours=SIDES, theirs=SIDES, rules=RULES)
def test_a_result_that_was_taken_over_has_nothing_left_to_send(base, ours, theirs, rules):
    """Once the others have the result, merging again asks and sends nothing: two sides converge."""
    result = merge(base, ours, theirs, rules).value

    again = merge(theirs, result, result, rules)

    assert again.nothing_to_send


@given(patch=OBJECTS, theirs=OBJECTS)
def test_a_patch_without_a_base_touches_its_own_members_only(patch, theirs):
    """What a patch did not name stays theirs, also when nobody knows the base."""
    ours = apply_patch(theirs, patch)

    merged = merge(UNKNOWN, ours, theirs)

    for name in theirs.keys() - patch.keys():
        assert same(merged.value[name], theirs[name])


@pytest.mark.parametrize("rule", SYMMETRIC)
def test_union_and_max_do_something(rule):
    """The laws above are not about rules that never settle anything."""
    assert merge({"f": [1]}, {"f": [2]}, {"f": [3]}, MergeRules(default=Rule.UNION)).settled
    assert merge({"f": 1}, {"f": 2}, {"f": 3}, MergeRules(default=rule)).settled == (rule in {Rule.MAX, Rule.MIN})
