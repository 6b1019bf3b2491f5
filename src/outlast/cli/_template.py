"""Where a record goes: a URL with fields in braces, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from outlast.cli._exit import CommandError, ExitCode
from outlast.config import suggest

_FIELD = re.compile(r"\{([^{}]*)\}")
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")
_REMEDY = "Write it such as --to 'https://api.example.org/notes/{id}'."


class UnfitError(Exception):
    """A record does not fit the template; the message says which field and why."""


@dataclass(frozen=True, slots=True)
class Template:
    """Hold a checked URL template.

    Args:
        text: The template.
        fields: The names in braces, in order, each once.
        origin: Scheme, host and port.
    """

    text: str
    fields: tuple[str, ...]
    origin: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Check a template.

        Raises:
            CommandError: It cannot be used; the message says why.
        """
        _check_characters(text)
        parts = _split(text)
        _check_scheme(parts)
        _check_host(parts)
        if parts.fragment or text.endswith("#"):
            raise _bad("what stands behind # is never sent to a server; leave it out, or write %23")
        _check_braces(text)
        fields = tuple(dict.fromkeys(_FIELD.findall(text)))
        return cls(text, fields, origin_of(text))

    def check_fields(self, known: Collection[str]) -> None:
        """Refuse fields that no record has.

        Args:
            known: The names of all fields that occur.

        Raises:
            CommandError: A field is unknown; the error suggests the nearest.
        """
        for name in self.fields:
            if name not in known:
                raise _bad(f"no record has the field {name!r}{_hint(name, known)}", remedy="")

    def fill(self, record: Mapping[str, Any]) -> str:
        """Return the URL of a record, its values percent-encoded.

        Raises:
            UnfitError: A field is missing, empty or no text or number, or would change the path.
        """
        url = _FIELD.sub(lambda found: quote(text_of(record, found[1]), safe=""), self.text)
        if _DOTS.search(urlsplit(url).path):
            raise UnfitError(
                "'.' and '..' cannot stand for a part of an address; a server would take them for a folder"
            )
        return url


def origin_of(url: str) -> str:
    """Return scheme, host and port of an absolute address."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}"


def text_of(record: Mapping[str, Any], name: str) -> str:
    """Return a field of a record as text that can name it.

    Raises:
        UnfitError: The field is missing, empty, or neither text nor a number.
    """
    value = record.get(name)
    if value is None:
        raise UnfitError(f"the field {name!r} is {'null' if name in record else 'missing'}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnfitError(f"the field {name!r} is to be a text or a number, not {_kind(value)}")
    text = str(value)
    if not text.strip():
        raise UnfitError(f"the field {name!r} is empty")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnfitError(f"the field {name!r} holds half of a surrogate pair, which is no character") from None
    return text


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case list():
            return "a list"
        case _:
            return "an object"


def _hint(name: str, known: Collection[str]) -> str:
    near = suggest(name, known)
    return f"; did you mean {near!r}?" if near else f"; there are: {', '.join(sorted(known)[:20]) or 'none at all'}"


def _bad(message: str, remedy: str = _REMEDY) -> CommandError:
    return CommandError(ExitCode.BAD_TARGET, f"--to: {message}", remedy)


def _check_characters(text: str) -> None:
    if not text.strip():
        raise _bad("the address is empty")
    outside = _FIELD.sub("", text)
    if any(not "!" <= char <= "~" for char in outside):
        raise _bad(
            "an address holds no blanks and nothing outside of ASCII; write them percent-encoded, a host as xn--..."
        )


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise _bad(f"not a URL: {error}") from None
    return parts


def _check_scheme(parts: SplitResult) -> None:
    if parts.scheme.lower() not in {"http", "https"}:
        said = f"{parts.scheme}:// is not supported" if parts.scheme else "the scheme is missing"
        raise _bad(f"{said}; only http:// and https:// are")


def _check_host(parts: SplitResult) -> None:
    if not parts.hostname:
        raise _bad("the host is missing")
    if "@" in parts.netloc:
        raise _bad("no user or password here, addresses are stored; give them with --header, which is not", remedy="")
    if "{" in parts.netloc or "}" in parts.netloc:
        raise _bad("fields may not stand in the host: all records go to one server")


def _check_braces(text: str) -> None:
    if "{" in _FIELD.sub("", text) or "}" in _FIELD.sub("", text):
        raise _bad("a brace is without its partner; write it as %7B or %7D if it is meant")
    if "" in _FIELD.findall(text):
        raise _bad("{} needs the name of a field")
