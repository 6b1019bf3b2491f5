import math
import sys
from dataclasses import dataclass

import msgspec
import pytest

from outlast.cache import Cache, MsgspecCodec, SqliteTier
from outlast.cache._codec import PlainCodec
from outlast.errors import MissingExtraError, SchemaError
from outlast.registry import Registry


class User(msgspec.Struct, frozen=True):
    """A typed value."""

    id: int
    tags: tuple[str, ...] = ()


@dataclass
class Point:
    """A value of the standard library's kind."""

    x: float


class Opaque:
    """A type that JSON Schema cannot describe."""


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -(2**63), 1.5, math.inf, "größe", b"\x00", [1, [2]], {"a": {"b": [None]}, 1: "one"}],
    ids=repr,
)
def test_plain_values_come_back_unchanged(value):
    """What the plain codec takes it gives back, types included."""
    codec = PlainCodec()
    back = codec.decode(codec.encode(value))

    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param((1,), r"\$ is a tuple", id="tuple"),
        pytest.param({"a": [1, {2}]}, r"\$\.a\[1\] is a set", id="nested-set"),
        pytest.param(Point(1.0), r"codec=MsgspecCodec\(Point\)", id="dataclass"),
        pytest.param({(1, 2): 3}, "a key of type tuple", id="key"),
        pytest.param(2**70, "cannot be stored on disk", id="too-large-a-number"),
        pytest.param("\ud800", "cannot be stored on disk", id="no-utf-8"),
    ],
)
def test_values_that_would_come_back_as_something_else_are_refused(value, path):
    """Nothing is stored that would be read back as another type; the error says where and what to do."""
    with pytest.raises(SchemaError, match=path):
        PlainCodec().encode(value)


@pytest.mark.parametrize("value", [User(1, ("a",)), Point(2.5)], ids=repr)
def test_typed_values_come_back_as_their_type(value):
    """A declared type is restored and checked."""
    codec = MsgspecCodec(type(value))

    assert codec.decode(codec.encode(value)) == value


def test_fingerprint_changes_with_the_type():
    """Another type, or the same name with other fields, has another fingerprint; the same type has the same."""

    class Other(msgspec.Struct):
        id: str

    Other.__qualname__, Other.__module__ = User.__qualname__, User.__module__
    prints = {MsgspecCodec(kind).fingerprint for kind in (User, Other, Point, dict[str, int], Opaque, list[Opaque])}

    assert len(prints) == 6
    assert MsgspecCodec(User).fingerprint == MsgspecCodec(User).fingerprint


async def test_cache_with_a_type_restores_it_from_the_file(tmp_path):
    """A typed cache answers from the file with the very type."""
    for _ in range(2):
        async with Cache(
            "users", disk=SqliteTier(tmp_path / "c.db"), codec=MsgspecCodec(User), registry=Registry()
        ) as cache:
            found = await cache.peek(1)
            await cache.put(1, User(1, ("a",)))

    assert found.value == User(1, ("a",))


def test_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    """Without msgspec a cache on disk says what to install."""
    tier = SqliteTier(tmp_path / "c.db")
    monkeypatch.setitem(sys.modules, "msgspec", None)

    with pytest.raises(MissingExtraError, match=r'pip install "outlast\[store\]"'):
        Cache("users", disk=tier, registry=Registry())
    tier.close()
