"""What the example API speaks of: notes, requests to change them, answers, and planted bugs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus


class Plant(Enum):
    """A bug put in on purpose, to prove that the verdict can go red; each strikes once.

    LOST answers the fifth PUT with success and stores nothing. DOUBLED applies the first repeat of an idempotency key
    again; when none has come before the fifth PUT, it applies that one twice.
    """

    LOST = "lost"
    DOUBLED = "doubled"


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change a note.

    Args:
        verb: PUT or DELETE.
        note: Id of the note.
        write: The client's id of this write, kept in `effects`.
        body: The note as JSON text, stored and given back unchanged; empty for DELETE.
        if_match: Header If-Match, or None.
        if_none_match: Header If-None-Match, or None.
        key: Header Idempotency-Key, or None.
    """

    verb: str
    note: str
    write: str
    body: str = ""
    if_match: str | None = None
    if_none_match: str | None = None
    key: str | None = None

    @property
    def body_hash(self) -> str:
        """Digest of all that has to be equal when the key comes again."""
        return hashlib.sha256(f"{self.verb} {self.note}\n{self.body}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A note as it stands."""

    revision: int
    body: str

    @property
    def etag(self) -> str:
        """Strong entity tag."""
        return f'"{self.revision}"'


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and JSON text of an answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str = ""


def problem(status: int, detail: str, kind: str = "about:blank") -> Answer:
    """Return an error as RFC 9457 has it; `kind` is its type, a URI reference."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": kind, "title": title, "status": status, "detail": detail})
    return Answer(status, {"content-type": "application/problem+json"}, body)


def seeded_note(number: int) -> str:
    """Return the id of a note that exists from the beginning."""
    return f"n{number:04d}"


def write_body(write: str, text: str) -> str:
    """Return the JSON text of a note."""
    return json.dumps({"write": write, "text": text})


def preconditions_hold(change: Change, stored: Stored | None) -> bool:
    """Judge If-Match, then If-None-Match (RFC 9110, section 13.2.2)."""
    if change.if_match is not None and not _matches(change.if_match, stored):
        return False
    return change.if_none_match is None or not _matches(change.if_none_match, stored)


def _matches(header: str, stored: Stored | None) -> bool:
    if stored is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or stored.etag in tags


__all__ = ["Answer", "Change", "Plant", "Stored", "preconditions_hold", "problem", "seeded_note", "write_body"]
