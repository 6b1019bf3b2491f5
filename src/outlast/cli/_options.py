"""What `outlast push` was asked to do, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._records import InputFormat
from outlast.cli._template import Template
from outlast.config import parse_duration
from outlast.errors import ConfigError
from outlast.outbox import Verb

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ENV = re.compile(r"@env:([A-Za-z_][A-Za-z0-9_]*)")
_RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "if-match",
        "if-none-match",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Method(StrEnum):
    """Name an HTTP method that a record can be sent by."""

    PUT = "PUT"
    POST = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Shape:
    """Say how a record becomes a request, and how its repetition is guarded.

    Args:
        verb: What each record does.
        id_field: The field that names a record, or None for the fields of the template.
        wrap: The member that a record is put into, or None to send it as it is.
        content_type: The media type of the bodies.
        key_header: The header that carries the idempotency key, or None to send none.
        at_least_once: Whether records may be doubled.
    """

    verb: Verb
    id_field: str | None = None
    wrap: str | None = None
    content_type: str = "application/json"
    key_header: str | None = None
    at_least_once: bool = False

    def guarantee(self, verb: Verb) -> str:
        """Return what holds for each record that is sent in this way, in a sentence."""
        match verb:
            case Verb.CREATE:
                return "each record is created at most once and never overwrites"
            case Verb.PUT | Verb.DELETE:
                return "the same content may be sent twice, which changes nothing"
            case Verb.POST | Verb.PATCH if self.key_header is not None:
                return f"each record takes effect once, if the server honours the key in {self.key_header}"
            case Verb.POST | Verb.PATCH:
                return "each record arrives at least once; one whose answer was lost may be doubled"

    def check(self, verb: Verb) -> None:
        """Refuse to send what could be doubled against the will of whoever sends it.

        Raises:
            CommandError: Nothing says what a repetition may do.
        """
        if verb in {Verb.POST, Verb.PATCH} and self.key_header is None and not self.at_least_once:
            raise usage(
                f"a {verb.name} whose answer is lost may have taken effect, so sending it again could double it",
                "Add --idempotency-header Idempotency-Key if your server honours such a header, "
                "or --at-least-once if records may be doubled.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Say how fast and how patiently to send.

    Args:
        concurrency: Requests at once.
        rate: Requests a second at most, or None.
        call_timeout: Seconds for one request.
        patience: Seconds without any useful answer after which the rest is left for later.
    """

    concurrency: int = 8
    rate: float | None = None
    call_timeout: float = 10.0
    patience: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """Hold everything that `outlast push` was asked for.

    Args:
        file: The input, `-` for standard input, or None to go on with what the outbox holds.
        form: The format of the input, or None to tell it by its name.
        template: Where the records go; None only without input.
        outbox: The outbox file.
        shape: How a record becomes a request.
        pace: How fast and how patiently to send.
        headers: Headers for each request; they may be secret and are never stored.
        replay: Whether to queue the conflicting and dead records again.
    """

    file: str | None
    form: InputFormat | None
    template: Template | None
    outbox: Path
    shape: Shape
    pace: Pace
    headers: Mapping[str, str]
    replay: bool


def choose_verb(method: Method, *, create: bool) -> Verb:
    """Return what each record does.

    Raises:
        CommandError: The options contradict each other.
    """
    if create and method is not Method.PUT:
        raise usage(f"--create is a PUT that never overwrites; it does not go with --method {method}")
    return Verb.CREATE if create else Verb[method.value]


def choose_outbox(outbox: Path | None, file: str | None) -> Path:
    """Return the outbox file.

    Raises:
        CommandError: There is neither an input nor an outbox to go on with.
    """
    if file is None:
        if outbox is None:
            raise usage("name the FILE to push, or with --outbox the outbox to go on with")
        if not outbox.exists():
            raise usage(f"there is no outbox {outbox} to go on with", "Name the FILE to push as well.")
        return outbox
    return outbox or (Path("push.outbox") if file == "-" else Path(file).with_suffix(".outbox"))


def seconds(option: str, text: str) -> float:
    """Return a duration of more than nothing.

    Raises:
        CommandError: It is none.
    """
    try:
        found = parse_duration(text, path=option)
    except ConfigError as error:
        raise usage(str(error)) from None
    if not found > 0:
        raise usage(f"{option}: must be more than 0")
    return found


def key_header_name(name: str | None) -> str | None:
    """Return the name of the header that carries the key, if it can be one.

    Raises:
        CommandError: It cannot.
    """
    if name is not None and (not _TOKEN.fullmatch(name) or name.lower() in _RESERVED | {"content-type"}):
        raise usage(
            f"--idempotency-header: {name!r} cannot be the name of such a header",
            "Most servers that know one call it Idempotency-Key.",
        )
    return name


def read_headers(given: Sequence[str], key_header: str | None) -> dict[str, str]:
    """Return the headers of the command line by name; `@env:NAME` in one stands for that variable.

    No message shows a value: it may be secret.

    Raises:
        CommandError: One is malformed, or one that is not to be set by hand.
    """
    taken = _RESERVED | ({key_header.lower()} if key_header else set[str]())
    headers: dict[str, str] = {}
    for position, text in enumerate(given, start=1):
        name, value = _split(position, _ENV.sub(_from_environment, text))
        if name.lower() in taken or name.lower() in {known.lower() for known in headers}:
            raise usage(f"--header: {name} is set already, or is set by outlast itself; leave it out")
        headers[name] = value
    return headers


def _from_environment(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    if not value:
        raise usage(
            f"--header: the environment variable {found[1]} is not set", f"Set it, such as with: export {found[1]}=..."
        )
    return value


def _split(position: int, text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name.strip()):
        raise usage(f"--header: number {position} is not of the form 'Name: value'")
    if not value or not all(" " <= char <= "~" or char == "\t" for char in value):
        raise usage(f"--header: the value of {name.strip()} is empty, or has characters that a header cannot carry")
    return name.strip(), value


def usage(message: str, remedy: str = "") -> CommandError:
    """Return the error for options that cannot be used.

    Args:
        message: What is wrong.
        remedy: What to do instead. Default: where the options are explained.
    """
    return CommandError(ExitCode.USAGE, message, remedy or "outlast push --help explains the options.")
