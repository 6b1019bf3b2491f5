from __future__ import annotations

import json

import pytest

from outlast.sync_engine import holds


def j(value):
    """Write a value as JSON."""
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, True, id="equal"),
        pytest.param({"a": 1, "rev": 7}, {"a": 1}, True, id="the-server-added-a-member"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="a-member-is-missing"),
        pytest.param({"a": 2}, {"a": 1}, False, id="another-value"),
        pytest.param({"a": True}, {"a": 1}, False, id="true-is-not-1"),
        pytest.param({"a": 0}, {"a": False}, False, id="0-is-not-false"),
        pytest.param({"a": 1.0}, {"a": 1}, True, id="1.0-is-1"),
        pytest.param({"a": "1"}, {"a": 1}, False, id="text-is-no-number"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True, id="nested"),
        pytest.param({"a": {"b": 2}}, {"a": {"b": 1}}, False, id="nested-differs"),
        pytest.param({"a": [1, 2]}, {"a": [1, 2]}, True, id="lists-equal"),
        pytest.param({"a": [2, 1]}, {"a": [1, 2]}, False, id="lists-in-another-order"),
        pytest.param({"a": [1, 2, 3]}, {"a": [1, 2]}, False, id="a-longer-list"),
        pytest.param({"a": [True]}, {"a": [1]}, False, id="true-is-not-1-in-a-list"),
        pytest.param({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True, id="a-member-added-inside-a-list"),
        pytest.param({"a": None}, {"a": None}, True, id="null-is-null"),
        pytest.param({}, {"a": None}, False, id="a-missing-member-is-not-null"),
        pytest.param({"a": {}}, {"a": []}, False, id="an-object-is-no-list"),
        pytest.param([1], [1], True, id="top-level-list"),
        pytest.param(None, None, True, id="top-level-null"),
        pytest.param({"a": 1}, {}, True, id="nothing-wanted"),
    ],
)
def test_an_entity_holds_what_was_wanted(found, wanted, expected):
    """What was sent must be there; what the server adds does not matter."""
    assert holds(j(found), j(wanted)) is expected


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        pytest.param({"a": 1}, {"b": None}, True, id="deleted"),
        pytest.param({"a": 1, "b": 2}, {"b": None}, False, id="still-there"),
        pytest.param({"b": None}, {"b": None}, False, id="null-on-the-server-is-still-there"),
        pytest.param({"a": {"c": 1}}, {"a": {"b": None, "c": 1}}, True, id="deleted-inside"),
        pytest.param({"a": [{"b": None}]}, {"a": [{"b": None}]}, True, id="null-inside-a-list-is-a-value"),
        pytest.param({"a": [{}]}, {"a": [{"b": None}]}, False, id="lists-are-replaced-whole"),
    ],
)
def test_null_in_a_patch_means_that_a_member_is_gone(found, wanted, expected):
    """RFC 7396: null deletes, but lists are values."""
    assert holds(j(found), j(wanted), patch=True) is expected


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        pytest.param(b"\x00\xff", b"\x00\xff", True, id="equal-bytes"),
        pytest.param(b"\x00\xff", b"\x00\xfe", False, id="other-bytes"),
        pytest.param(b'{"a": 1}', b"plain", False, id="only-one-is-json"),
        pytest.param(b"", b"", True, id="both-empty"),
    ],
)
def test_what_is_not_json_is_compared_byte_for_byte(found, wanted, expected):
    """Nothing is guessed about other formats."""
    assert holds(found, wanted) is expected


def test_what_is_nested_too_deeply_is_compared_byte_for_byte():
    """A hostile document cannot stop the delivery."""
    deep = b"[" * 100_000 + b"]" * 100_000

    assert (holds(deep, deep), holds(deep, b"[]")) == (True, False)
