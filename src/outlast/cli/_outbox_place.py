"""Find the outbox that a command is about, and tell every mistake on one screen."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outlast.cli._exit import CommandError, ExitCode, end_output, error_as_json, of_system
from outlast.cli._outbox_codec import load_codec
from outlast.cli._visible import json_text
from outlast.errors import OutlastError
from outlast.events import EventBus
from outlast.outbox import Inspection, ParkedOp, SyncOutbox
from outlast.storage import is_address


@contextmanager
def told(*, as_json: bool) -> Generator[None]:
    """Print an error as JSON too, if JSON was asked for.

    Raises:
        CommandError: What was asked for is not there.
        OutlastError: What ended the command.
    """
    try:
        try:
            yield
        except LookupError as error:
            raise CommandError(ExitCode.USAGE, str(error)) from error
        except BrokenPipeError:
            end_output()
        except OSError as error:
            raise of_system(error) from error
    except (CommandError, OutlastError) as error:
        if as_json:
            print_json(error_as_json(error))
        raise


def print_json(value: dict[str, Any]) -> None:
    """Print a value as JSON."""
    print(json_text(value, indent=2))


def check_place(where: str) -> None:
    """Refuse what is neither an address nor a file; what may hold a password is not shown."""
    # Where only the log is left, whoever opens it says so.
    if is_address(where) or Path(where).is_file() or Path(f"{where}-wal").is_file():
        return
    if any(sign in where for sign in ("://", "@", "password=")):
        said = "OUTBOX is neither a file nor an address that begins with postgresql:// (it is not shown here)"
        raise CommandError(ExitCode.USAGE, said)
    raise CommandError(ExitCode.USAGE, f"{where}: there is no such file", "Name the outbox; nothing was made.")


@contextmanager
def look(where: str, codec: str | None = None) -> Generator[Inspection]:
    """Look into an outbox without changing it.

    Raises:
        CommandError: There is no such file, or no such codec.
        StorageError: It cannot be read.
    """
    check_place(where)
    with Inspection.open(where, codec=load_codec(codec)) as seen:
        yield seen


def places_of(texts: Sequence[str]) -> list[int]:
    """Return the places that were named, each once.

    Raises:
        CommandError: One is no place; it is not shown, for it may be an address in the wrong place.
    """
    if not all(text.isdecimal() and len(text) <= len(str(_LAST)) and 0 < int(text) <= _LAST for text in texts):
        raise CommandError(ExitCode.USAGE, "SEQ must be the place of a write, a whole number from 1", _ORDER)
    return list(dict.fromkeys(map(int, texts)))


_LAST = (1 << 63) - 1
_ORDER = "The outbox comes first, then the places; outlast outbox list OUTBOX shows them."


@contextmanager
def open_to_decide(
    where: str, places: Sequence[int], codec: str | None
) -> Generator[tuple[SyncOutbox, list[ParkedOp]]]:
    """Open an outbox to decide about some of its writes; nothing is made where there is none.

    Raises:
        CommandError: There is no such file, or its codec is not named.
        LookupError: One of the writes does not wait for a decision; then nothing is decided.
        StorageError: It cannot be used.
    """
    with look(where) as seen:
        inside, written_by = seen.inside, seen.codec
    if written_by is not None and codec is None:
        said = f"the bodies of this outbox are written by the codec {written_by!r}"
        raise CommandError(ExitCode.USAGE, said, "Name it with --codec MODULE:NAME.")
    with SyncOutbox.open(where, inside=inside, bus=EventBus(), codec=load_codec(codec)) as box:
        yield box, [box.conflict(seq) for seq in places]
