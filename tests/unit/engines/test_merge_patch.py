import pytest

from outlast.engines.json_values import decode, encode
from outlast.engines.merge_patch import Expressed, Inexpressible, apply_patch, compose_patches, diff_patch

RFC_7396_APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396_APPENDIX_A)
def test_the_cases_of_the_rfc(target, patch, result):
    """The fifteen cases of RFC 7396, appendix A."""
    assert encode(apply_patch(decode(target.encode()), decode(patch.encode()))) == result.encode()


def test_applying_changes_neither():
    """Target and patch stay as they are."""
    target, patch = {"a": {"b": 1}}, {"a": {"b": None, "c": {"d": None}}}

    apply_patch(target, patch)

    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"b": None, "c": {"d": None}}})


@pytest.mark.parametrize(
    ("first", "second", "composed"),
    [
        pytest.param({"a": 1}, {"a": None}, Expressed({"a": None}), id="null-survives"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": None}}, Expressed({"a": {"b": None}}), id="null-survives-inside"),
        pytest.param({"a": None}, {"a": 2}, Expressed({"a": 2}), id="later-wins"),
        pytest.param({"a": [1]}, {"a": [2]}, Expressed({"a": [2]}), id="arrays-replace-whole"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, Expressed({"a": {"b": 1, "c": 2}}), id="members-join"),
        pytest.param({"a": 1}, "whole", Expressed("whole"), id="the-second-replaces-all"),
        pytest.param(
            {"a": {"b": 1}},
            {"a": {"b": {"c": 2}}},
            Inexpressible(("a", "b"), "a merge patch cannot replace a member by an object"),
            id="replacing-by-an-object",
        ),
        pytest.param(
            7, {"a": 1}, Inexpressible((), "a merge patch cannot replace a member by an object"), id="the-whole"
        ),
    ],
)
def test_compose(first, second, composed):
    """Patches compose as patches, and what no patch could say is told."""
    assert compose_patches(first, second) == composed


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {"a": 1}, Expressed({})),
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": 3}}, Expressed({"a": None, "b": {"c": 4}})),
        ({"a": True}, {"a": 1}, Expressed({"a": 1})),
        ({"a": 1}, 5, Expressed(5)),
        (5, {"a": 1}, Expressed({"a": 1})),
        ({"a": None}, {"a": None}, Expressed({})),
        ({}, {"a": {"b": None}}, Inexpressible(("a", "b"), "a merge patch cannot set a member to null")),
        ({"a": 1}, {"a": None}, Inexpressible(("a",), "a merge patch cannot set a member to null")),
    ],
)
def test_diff(before, after, patch):
    """The difference holds what changed and nothing else; a member that becomes null cannot be said."""
    assert diff_patch(before, after) == patch


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"NaN", b"Infinity", b"[1e999]", b"0.1234567890123456789", b"1e-999", b"\xff",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_bodies_that_could_not_be_written_again(body):
    """What is no JSON, or would come out as another number, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        decode(body)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), "\ud800"])
def test_values_that_have_no_json(value):
    """What JSON has no form for is refused."""
    with pytest.raises(ValueError, match=r".+"):
        encode(value)


@pytest.mark.parametrize("body", [b'{"n":0.000123,"m":-12345.6789,"z":0.0,"t":"\xc3\xa9","big":123456789012345678901}'])
def test_bodies_survive(body):
    """Numbers, letters and the order of members come out as they went in."""
    assert encode(decode(body)) == body
