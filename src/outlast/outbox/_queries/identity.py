"""Which outbox it is, and how its bodies are to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from outlast.errors import ConfigError
from outlast.outbox._identity import Identity, identity_of
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._queries.tables import Tables

IDENTITY: Final = "SELECT name, value FROM $meta"
LOST_CODEC: Final = "(lost)"
"""What a salvage notes as the codec of bodies that are written by one, when its name could not be read."""
_BODIES: Final = "SELECT body FROM $op WHERE body IS NOT NULL UNION ALL SELECT body FROM $parked WHERE body IS NOT NULL"
_USED: Final = "SELECT EXISTS (SELECT 1 FROM $op) OR EXISTS (SELECT 1 FROM $parked) OR EXISTS (SELECT 1 FROM $shadow)"


def meta_of(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Return what the rows of `IDENTITY` say."""
    return {row[0]: row[1] for row in rows}


def identity(db: Tables) -> Identity:
    """Return the outbox's own part of every idempotency key."""
    return identity_of(db.execute(IDENTITY))


def adopt(db: Tables) -> None:
    """Note in a new outbox by which codec its bodies are written; check in another one that it is this one.

    Raises:
        ConfigError: Its bodies were written otherwise.
        CorruptError: It was salvaged, and the codec cannot read what it holds.
    """
    bodies = db.ways.bodies
    meta = meta_of(db.execute(IDENTITY))
    codec = meta.get("codec")
    if bodies.name is not None and "codec_probe" not in meta and codec in {None, LOST_CODEC, bodies.name}:
        if codec is None and db.execute(_USED).get:
            raise ConfigError(
                "this outbox holds bodies that are not encoded; make a new one with the codec, and let this one be "
                "delivered without it",
                path="codec",
            )
        bodies.unpack(db.execute(f"{_BODIES} LIMIT 1").get)  # what was salvaged may be another codec's
        meta |= {"codec": bodies.name, "codec_probe": bodies.probe()}
        db.execute("DELETE FROM $meta WHERE name = 'codec'")
        for name in ("codec", "codec_probe"):
            db.execute("INSERT INTO $meta (name, value) VALUES (?, ?)", (name, meta[name]))
    check_codec(bodies, meta)


def check_codec(bodies: Bodies, meta: Mapping[str, str]) -> None:
    """Refuse to read or write bodies in another way than the outbox's own.

    Raises:
        ConfigError: They were written otherwise.
    """
    codec = meta.get("codec")
    if codec == LOST_CODEC and bodies.name is not None:
        return  # each body tells whether it is the one
    if codec != bodies.name:
        wanted = "without a codec" if codec is None else f"with the codec {codec!r}"
        if codec == LOST_CODEC:
            wanted = "with a codec, whose name was lost in a salvage; none of them is sent before you name it"
        raise ConfigError(f"the bodies of this outbox are written {wanted}; use it so", path="codec")
    if "codec_probe" in meta and not bodies.knows(meta["codec_probe"]):
        raise ConfigError(
            f"the codec {codec!r} cannot read this outbox; most likely it was given another key", path="codec"
        )
