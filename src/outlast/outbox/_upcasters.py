"""Bring what was queued by an older version of the program into the shape that servers take today."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from outlast.engines.json_values import decode, encode
from outlast.errors import ConfigError
from outlast.outbox._records import Op

Upcaster = Callable[[Any, Op], Any]
"""Returns a body in the next version of its shape, given it in this one, and the write that it is of."""

U = TypeVar("U", bound=Upcaster)


class Upcasters:
    """Know how the body of a queued write gets from one version of its shape to the next.

    A write keeps the `schema` that it was queued with. When it is first sent, what is registered for its kind leads it
    from there to the newest version, one step after the other, in the commit that seals it. What was sent before goes
    on as it was sent, because its bytes are known under its key; if the server refuses the old shape, a replay from
    the dead letters leads it to the newest one under a new key. A write of a newer version than is known here goes to
    the dead letters: nothing is guessed.

    A function gets the body, decoded if its media type is JSON and as bytes otherwise, and the `Op`; a patch is
    partial, and so is its body. It must be pure: it runs inside a transaction and may run twice. What the server held
    when the write was made, its `base`, is led through the same functions. A base that cannot be led is left out, and
    nothing is merged with it then.

    Thread-safe: yes, once everything is registered.

    Source: event upcasting, G. Young, "Versioning in an Event Sourced System" (2017), chapter "Upcasting".

    >>> upcasters = Upcasters()
    >>> @upcasters.register("person", 0)
    ... def split_name(body, op):
    ...     first, _, last = body.pop("name").partition(" ")
    ...     return {**body, "first": first, "last": last}
    >>> upcasters.newest("person")
    1
    """

    def __init__(self) -> None:
        self._steps: dict[str, dict[int, Upcaster]] = {}

    def register(self, kind: str, version: int) -> Callable[[U], U]:
        """Decorate the function that leads the bodies of a kind from one version to the next.

        Args:
            kind: The kind of entity.
            version: The version that it leads from, >= 0; it leads to the one after.

        Raises:
            ConfigError: There is a function for that already, or the version is none.
        """
        steps = self._steps.setdefault(kind, {})
        if isinstance(version, bool) or not isinstance(version, int) or version < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"must be a whole number from 0, not {version!r}", path="upcasters.version")
        if version in steps:
            raise ConfigError(f"version {version} of {kind!r} has an upcaster already", path="upcasters")

        def register(function: U) -> U:
            steps[version] = function
            return function

        return register

    def newest(self, kind: str) -> int | None:
        """Return the version that the writes of a kind are led to, None when nothing is known of the kind."""
        steps = self._steps.get(kind)
        return max(steps) + 1 if steps else None

    def upcast(self, op: Op) -> Op:
        """Return a write in the newest shape; itself if it has that already, or nothing is known of its kind.

        Raises:
            ConfigError: It is newer than what is known here, a step is missing, or a function raised.
        """
        newest = self.newest(op.kind) if self._steps else None
        if newest is None or op.schema == newest:
            return op
        if op.schema > newest:
            raise ConfigError(
                f"the write has version {op.schema} of {op.kind!r}, and this program knows up to {newest}; let a newer "
                "one deliver it, or replay it with a body of this version",
                path="schema",
            )
        return op._replace(body=self._led(op, op.body, newest), base=self._led_base(op, newest), schema=newest)

    def show(self, op: Op) -> Op:
        """Return a write in the newest shape, or as it is if it cannot be led there."""
        with suppress(ConfigError):
            return self.upcast(op)
        return op

    def _led_base(self, op: Op, newest: int) -> bytes | None:
        # Of a conflict that was replayed it is what the server held then, and so of a shape that the write is not of.
        with suppress(ConfigError):
            return self._led(op, op.base, newest)
        return None

    def _led(self, op: Op, body: bytes | None, newest: int) -> bytes | None:
        """Lead a body through all steps; what a function raises is told with the step that it belongs to."""
        if body is None:
            return None
        version = op.schema
        try:
            value = _read(op, body)
            for version in range(op.schema, newest):
                value = self._step(op.kind, version)(value, op)
            return _written(op, value)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"version {version} of {op.kind!r} cannot be led to {version + 1}: {type(error).__name__}: {error}",
                path="schema",
            ) from error

    def _step(self, kind: str, version: int) -> Upcaster:
        step = self._steps[kind].get(version)
        if step is None:
            raise ConfigError(f"nothing leads {kind!r} from version {version} to {version + 1}", path="schema")
        return step


def _read(op: Op, body: bytes) -> Any:
    return decode(body) if _is_json(op) else body


def _written(op: Op, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not _is_json(op):
        raise TypeError(f"made {type(value).__name__} of bytes")
    return encode(value)


def _is_json(op: Op) -> bool:
    media = op.content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")
