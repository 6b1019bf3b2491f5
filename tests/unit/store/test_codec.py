from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from outlast.cache import Source
from outlast.errors import SchemaError
from outlast.store import StoreSource
from outlast.store._codec import TypedCodec


@dataclass
class Address:
    city: str


@dataclass
class User:
    id: int
    address: Address


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    id: int


def test_an_entity_comes_back_as_it_went():
    """Nested values survive the way through JSON."""
    codec = TypedCodec(User)
    user = User(7, Address("Wien"))

    assert codec.decode(codec.encode(user), "7") == user


@pytest.mark.parametrize(
    ("model", "body", "path"),
    [
        pytest.param(User, b'{"id": 1, "address": {"city": 5}}', "$.address.city", id="nested"),
        pytest.param(User, b'{"id": 1}', "$", id="missing"),
        pytest.param(User, b"<html>", "$", id="no-json"),
        pytest.param(User, b"", "$", id="empty"),
        pytest.param(Strict, b'{"id": 1, "more": 2}', "$", id="unknown"),
    ],
)
def test_another_shape_is_an_error_with_its_path(model, body, path):
    """The error names the model, the entity and the place."""
    with pytest.raises(SchemaError, match=rf"'7' is not a {model.__name__}") as caught:
        TypedCodec(model).decode(body, "7")

    assert caught.value.path == path


def test_a_plain_class_is_checked_when_it_is_written():
    """A dataclass that holds a wrong value is refused, though Python let it be made."""
    with pytest.raises(SchemaError) as caught:
        TypedCodec(User).encode(User("seven", Address("Wien")))

    assert caught.value.path == "$.id"


@pytest.mark.parametrize("value", [object(), {1, object()}], ids=["object", "in-a-set"])
def test_what_is_no_json_is_refused(value):
    """A value that JSON does not have is an error of the schema, not of the codec."""
    with pytest.raises(SchemaError, match="cannot be written as JSON"):
        TypedCodec(User).encode(User(7, value))


def test_each_source_of_the_cache_has_a_word():
    """The store's words cover all of the cache's."""
    assert [StoreSource.of(source) for source in Source] == [StoreSource.MEMORY, StoreSource.DISK, StoreSource.BACKEND]
