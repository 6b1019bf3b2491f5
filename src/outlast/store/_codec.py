"""Turn entities into bytes and back, checked against their type."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from outlast.errors import SchemaError
from outlast.storage import require

T = TypeVar("T")


class TypedCodec(Generic[T]):
    """Encode and decode JSON of one type; a value of another shape is an error with its path.

    Args:
        model: The type.
    """

    def __init__(self, model: type[T]) -> None:
        self._msgspec: Any = require("msgspec", extra="store", purpose="the store")
        self._model = model
        self._decoder = self._msgspec.json.Decoder(model)

    def encode(self, entity: T) -> bytes:
        """Return the JSON of an entity.

        Raises:
            SchemaError: It does not have the declared shape.
        """
        try:
            body = bytes(self._msgspec.json.encode(entity))
        except (TypeError, ValueError) as error:
            raise SchemaError(f"{self._model.__name__} cannot be written as JSON: {error}") from error
        self._decode(body, "what was to be saved")  # a plain class does not check its fields itself
        return body

    def decode(self, body: bytes, key: str) -> T:
        """Return the entity that JSON holds.

        Args:
            body: The JSON.
            key: The id, for the error.

        Raises:
            SchemaError: It does not have the declared shape.
        """
        return self._decode(body, repr(key))

    def _decode(self, body: bytes, what: str) -> T:
        try:
            entity: T = self._decoder.decode(body)
        except self._msgspec.DecodeError as error:
            said, _, path = str(error).partition(" - at ")
            raise SchemaError(f"{what} is not a {self._model.__name__}: {said}", path=path.strip("`") or "$") from error
        return entity
