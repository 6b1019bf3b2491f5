"""Laws of merge patches."""

import hypothesis.strategies as st
from hypothesis import given
from json_strategies import OBJECTS, VALUES, without_nulls

from outlast.engines.json_values import same
from outlast.engines.merge_patch import Expressed, Inexpressible, apply_patch, compose_patches, diff_patch


@given(target=VALUES, first=OBJECTS, second=OBJECTS)
def test_a_composed_patch_does_what_the_two_do(target, first, second):
    """One after the other, or composed: the same."""
    composed = compose_patches(first, second)
    if isinstance(composed, Expressed):
        assert same(apply_patch(target, composed.patch), apply_patch(apply_patch(target, first), second))


@given(first=OBJECTS, second=OBJECTS, guess=VALUES)
def test_what_is_called_inexpressible_is(first, second, guess):
    """Where composing is refused, the result is one object whatever was there, which no patch can make it."""
    composed = compose_patches(first, second)
    if isinstance(composed, Inexpressible):
        target = {"zzz": 1}
        for name in reversed(composed.path):
            target = {name: target}
        result = apply_patch(apply_patch(target, first), second)
        for name in composed.path:
            result, guess = result[name], guess.get(name) if isinstance(guess, dict) else guess
        assert isinstance(result, dict)
        assert "zzz" not in result
        assert guess is None or not isinstance(guess, dict) or "zzz" in apply_patch({"zzz": 1}, guess)


@given(first=OBJECTS, second=OBJECTS, third=OBJECTS, target=VALUES)
def test_composing_is_associative(first, second, third, target):
    """In whichever order three patches are composed, they do the same."""
    left, right = compose_patches(first, second), compose_patches(second, third)
    if isinstance(left, Expressed) and isinstance(right, Expressed):
        one, two = compose_patches(left.patch, third), compose_patches(first, right.patch)
        if isinstance(one, Expressed) and isinstance(two, Expressed):
            assert same(apply_patch(target, one.patch), apply_patch(target, two.patch))


@given(before=VALUES, after=VALUES)
def test_a_difference_leads_from_one_to_the_other(before, after):
    """Applying the difference gives the later value, and there is one unless a member must become null."""
    patch = diff_patch(before, after)
    if isinstance(patch, Expressed):
        assert same(apply_patch(before, patch.patch), after)
    else:
        assert not same(after, without_nulls(after))


@given(before=VALUES, after=VALUES)
def test_without_nulls_there_is_always_a_difference(before, after):
    """What holds no null member can be reached from anywhere."""
    assert isinstance(diff_patch(before, without_nulls(after)), Expressed)


@given(target=VALUES, patch=OBJECTS)
def test_applying_twice_is_applying_once(target, patch):
    """A merge patch is idempotent."""
    once = apply_patch(target, patch)

    assert same(apply_patch(once, patch), once)


@given(value=VALUES, other=st.one_of(VALUES, st.just("zzz")))
def test_equality_is_that_of_json(value, other):
    """A value equals itself, and equality goes both ways."""
    assert same(value, value)
    assert same(value, other) == same(other, value)
