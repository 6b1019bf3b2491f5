"""What the receiver speaks of: answers, what has become of a key, and the fence of a sender."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from outlast.errors import ConfigError

KEY_HEADER: Final = "Idempotency-Key"
"""The header that names a write; every repeat of it carries the same."""

REPLAYED_HEADER: Final = "Idempotent-Replayed"
"""Marks an answer that was given before; its value is `true`."""

FENCE_HEADER: Final = "Outbox-Fence"
"""The header by which a sender says which of its terms a request belongs to."""

_FENCE: Final = re.compile(r'(?P<number>\d{1,15})\s*;\s*sender="(?P<sender>[!#-\[\]-~]{1,255})"')


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """Hold a whole answer.

    Args:
        status: The status code.
        headers: Name and value pairs.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Fence:
    """Say which term of which sender a request belongs to; a later term has a higher number.

    Args:
        sender: The sender's own id, such as that of its outbox.
        number: The fencing token of its term, 0 or more.

    Raises:
        ConfigError: The header could not carry it.

    Source: M. Kleppmann, "How to do distributed locking" (2016).

    >>> Fence("box-7", 12).header()
    '12;sender="box-7"'
    """

    sender: str
    number: int

    def __post_init__(self) -> None:
        """Refuse what would not survive the way through a header."""
        if not _FENCE.fullmatch(self.header()):
            raise ConfigError(f"is a printable id and a number of 0 or more, not {self!r}", path="fence")

    def header(self) -> str:
        """Return the value of the `Outbox-Fence` header, an item as RFC 9651 has it."""
        return f'{self.number};sender="{self.sender}"'

    @classmethod
    def parse(cls, value: str) -> Fence | None:
        """Return the fence in a header's value, or None where it makes no sense.

        >>> Fence.parse('12;sender="box-7"'), Fence.parse("twelve")
        (Fence(sender='box-7', number=12), None)
        """
        found = _FENCE.fullmatch(value.strip())
        return None if found is None else cls(found["sender"], int(found["number"]))


@dataclass(frozen=True, slots=True)
class New:
    """The key is new and now claimed: do the work, `store` the answer and commit both at once."""

    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The work was done before; this is what was answered."""

    response: StoredResponse


@dataclass(frozen=True, slots=True)
class Reused:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """The first request with this key is still at work, in a transaction that is open now."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """The sender has a later term already, so this request comes from one that was replaced.

    Args:
        newest: The highest number that was seen of the sender.
    """

    newest: int


Claim = New | Replay | Reused | InProgress | Fenced
"""What a request with a key turns out to be."""


def fingerprint(method: str, target: str, body: bytes) -> str:
    """Return a digest of all that has to be equal when a key comes again.

    Args:
        method: The method.
        target: Path and query.
        body: The body as it came.

    >>> fingerprint("POST", "/a", b"bc") == fingerprint("POST", "/ab", b"c")
    False
    """
    head = f"{len(method)} {len(target)} {method}{target}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(head + body).hexdigest()
