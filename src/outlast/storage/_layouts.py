"""Which databases are ours, where their tables lie, and how they are brought up to date."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

from outlast.errors import NewerFormatError, NotOursError
from outlast.storage._connection import Session

_TABLE: Final = re.compile(r"\$([a-z_]+)")

LAYOUT_TABLE: Final = """
CREATE TABLE IF NOT EXISTS $layout (name TEXT PRIMARY KEY, application_id BIGINT NOT NULL, version BIGINT NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """Say which databases are ours and how they are laid out.

    Args:
        name: What it is called towards users, such as `outbox`.
        application_id: The number that marks it as ours.
        version: The newest layout that this code knows, >= 1.
        migrations: The SQL that leads from layout n to n + 1, one entry for each n from 0.
    """

    name: str
    application_id: int
    version: int
    migrations: tuple[str, ...]


class Dialect:
    """Put the names of tables into statements: `$op` becomes the full name of the table `op`.

    Thread-safe: yes.

    Args:
        kind: The store.
        prefix: What stands before the name of each table, such as a schema and a dot.

    >>> Dialect("sqlite", "outlast_").text("SELECT count(*) FROM $op")
    'SELECT count(*) FROM outlast_op'
    """

    def __init__(self, kind: Literal["sqlite", "postgres"], prefix: str = "") -> None:
        self.kind: Final = kind
        self.prefix: Final = prefix
        self._known: dict[str, str] = {}

    def text(self, statement: str) -> str:
        """Return a statement with full names; each is worked out once, so there must be few of them."""
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = _TABLE.sub(lambda name: self.prefix + name[1], statement)
        return known

    def key(self, name: str) -> int:
        """Return the number of a lock by its name; it is another one where the tables lie elsewhere."""
        return int.from_bytes(hashlib.blake2b(f"{self.prefix}{name}".encode(), digest_size=8).digest(), "big") >> 1

    @property
    def channel(self) -> str:
        """Return where those who write notify those who wait."""
        return f"outlast_{self.key('news'):x}"


def stored_version(db: Session, dialect: Dialect, layout: FileFormat, where: str) -> int:
    """Return the version of our tables that a table of layouts tells, 0 when it knows nothing of us.

    Raises:
        NotOursError: The tables there are somebody else's.
        NewerFormatError: They were made by a newer version of outlast.
    """
    row = db.execute(
        dialect.text("SELECT application_id, version FROM $layout WHERE name = ?"), (layout.name,)
    ).fetchone()
    if row is None:
        return 0
    check_owner(layout, row[0], where)
    check_version(layout, row[1], where)
    return int(row[1])


def check_owner(layout: FileFormat, application_id: int, where: str) -> None:
    """Refuse what is marked as somebody else's."""
    if application_id != layout.application_id:
        raise NotOursError(
            f"{where} is a database, but no {layout.name}; name another file or schema. It was not touched"
        )


def check_version(layout: FileFormat, version: int, where: str) -> None:
    """Refuse what a newer version has made."""
    if version > layout.version:
        raise NewerFormatError(
            f"{where} has layout {version}, and this version of outlast knows up to {layout.version}; "
            "upgrade outlast. It was not touched"
        )


def migrate(db: Session, dialect: Dialect, layout: FileFormat, version: int) -> bool:
    """Bring the tables up to date inside the caller's transaction and tell whether there was anything to do."""
    for step in layout.migrations[version:]:
        db.execute(dialect.text(step))
    return version != layout.version


def store_version(db: Session, dialect: Dialect, layout: FileFormat) -> None:
    """Write into the table of layouts which version the tables have now."""
    db.execute(
        dialect.text(
            "INSERT INTO $layout (name, application_id, version) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version"
        ),
        (layout.name, layout.application_id, layout.version),
    )
