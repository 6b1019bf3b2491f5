"""Load the codec that an outbox's bodies are written by from the user's own code."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from outlast.cli._exit import CommandError, ExitCode
from outlast.outbox import BodyCodec

_SHAPE = "Write it as MODULE:NAME, such as --codec shop.secrets:codec; NAME is a codec, or makes one when it is called."


def load_codec(named: str | None) -> BodyCodec | None:
    """Return the codec that `--codec MODULE:NAME` names, None where nothing is named.

    The module is imported from the folder that the command is run in, as by `python -m`.

    Raises:
        CommandError: There is no such codec.
    """
    if named is None:
        return None
    module, colon, name = named.partition(":")
    if not (module and colon and name):
        raise CommandError(ExitCode.USAGE, f"--codec: {named!r} names no codec", _SHAPE)
    found = _made(named, _named(module, name))
    missing = [word for word in ("name", "encode", "decode") if not hasattr(found, word)]
    if missing:
        said = f"--codec: {named} is no codec: it has no {', '.join(missing)}"
        raise CommandError(ExitCode.USAGE, said, "A codec has a name, encode(body) and decode(stored).")
    codec: BodyCodec = found
    return codec


def _named(module: str, name: str) -> Any:
    try:
        with _from_here():
            found: Any = import_module(module)
    except Exception as error:
        said = f"--codec: {module} cannot be imported from {Path.cwd()}: {type(error).__name__}: {error}"
        raise CommandError(ExitCode.USAGE, said, _SHAPE) from error
    if not hasattr(found, name):
        near = difflib.get_close_matches(name, dir(found), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise CommandError(ExitCode.USAGE, f"--codec: {module} has no {name}{hint}", _SHAPE)
    return getattr(found, name)


def _made(named: str, found: Any) -> Any:
    if not callable(found) or (hasattr(found, "encode") and not isinstance(found, type)):
        return found
    try:
        return found()
    except Exception as error:
        said = f"--codec: {named} made no codec: {type(error).__name__}: {error}"
        raise CommandError(ExitCode.USAGE, said, "It is called without arguments; keys are its own affair.") from error


@contextmanager
def _from_here() -> Generator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
