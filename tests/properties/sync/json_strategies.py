"""JSON values for laws, small enough that two of them often meet in the same members."""

import hypothesis.strategies as st

NAMES = st.sampled_from("abc")
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.5, 1.0]), st.sampled_from("xy"))
LEAVES = st.one_of(SCALARS, st.lists(st.one_of(SCALARS, st.dictionaries(NAMES, SCALARS, max_size=2)), max_size=2))
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


def without_nulls(value):
    """Return a value without members that are null, which no merge patch could make."""
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
