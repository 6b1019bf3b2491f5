"""The outbox's own part of every idempotency key: which outbox it is, and in which epoch a place was given."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from outlast.errors import CorruptError

_NUMBERS: Final = re.compile(r":(\d{1,19}):(\d{1,19})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """Name each op of an outbox for ever.

    An epoch ends where places may be given a second time: the file was salvaged, or restored from a backup. What was
    queued before keeps its key, because it may have been sent under it; places that are given later have keys which
    nobody has seen.

    Args:
        store: Which outbox it is.
        epochs: The last place before each epoch and the epoch's name, the oldest first.

    >>> identity = Identity("a1", ((0, "1"), (7, "2-c4")))
    >>> identity.key(7, 0), identity.key(8, 0)
    ('a1.1:7:0', 'a1.2-c4:8:0')
    """

    store: str
    epochs: tuple[tuple[int, str], ...] = ((0, "1"),)

    def key(self, seq: int, generation: int) -> str:
        """Return the idempotency key of an op."""
        last, epoch = self.epochs[-1]
        if seq <= last:
            epoch = next((name for last, name in reversed(self.epochs) if seq > last), self.epochs[0][1])
        return f"{self.store}.{epoch}:{seq}:{generation}"

    def place(self, key: str) -> int | None:
        """Return the place of the op that a key names, None if it is the key of somebody else.

        >>> identity = Identity("a1", ((0, "1"), (7, "2-c4")))
        >>> identity.place("a1.2-c4:8:3"), identity.place("a1.1:8:0"), identity.place("b2.1:7:0")
        (8, None, None)
        """
        found = _NUMBERS.search(key)
        if found is None:
            return None
        seq, generation = map(int, found.groups())
        return seq if self.key(seq, generation) == key else None

    def next_generation(self, seq: int, generation: int) -> int:
        """Return the generation of an op whose content changes.

        What lies in a backup may have been changed since the backup was made, and sent under the generations that
        follow; so an op of an earlier epoch goes on far behind them, at a number that is of the present epoch alone.

        >>> Identity("a1").next_generation(7, 0), Identity("a1", ((0, "1"), (7, "2-c4"))).next_generation(8, 0)
        (1, 1)
        """
        last, epoch = self.epochs[-1]
        if seq > last:
            return generation + 1
        own = int.from_bytes(hashlib.blake2b(epoch.encode(), digest_size=3).digest(), "big")
        return max(generation, (len(self.epochs) - 1) << 40 | own << 16) + 1

    @property
    def epoch(self) -> str:
        """Return the name of the present epoch."""
        return self.epochs[-1][1]

    def __str__(self) -> str:
        """Return what the keys of new ops begin with."""
        return f"{self.store}.{self.epoch}"

    def after(self, last: int, chance: str) -> Identity:
        """Return the identity with a new epoch.

        Args:
            last: The last place that may have been given before.
            chance: What tells it from another one that is begun from the same backup.
        """
        number = int(self.epoch.partition("-")[0]) + 1
        return Identity(self.store, (*self.epochs, (last, f"{number}-{chance}")))

    def rows(self) -> list[tuple[str, str]]:
        """Return it as rows of `meta`."""
        return [("store", self.store), ("epoch", self.epoch), ("epochs", json.dumps(self.epochs))]


NOBODY: Final = Identity("")
"""For ops whose key nobody will see."""


def identity_of(rows: Iterable[Sequence[Any]]) -> Identity:
    """Return the identity that rows of `meta` tell.

    Raises:
        CorruptError: They are damaged.
    """
    meta = {row[0]: row[1] for row in rows}
    try:
        epochs = json.loads(meta["epochs"]) if "epochs" in meta else [(0, meta["epoch"])]
        found = Identity("".join([meta["store"]]), tuple((int(last), str(name)) for last, name in epochs))
        found.after(0, "")
    except (IndexError, KeyError, TypeError, ValueError) as error:
        said = (
            f"the name of the outbox or of its epochs is damaged ({type(error).__name__}: {error}); see: outlast outbox"
        )
        raise CorruptError(f"{said} doctor", operation="outbox") from error
    return found
