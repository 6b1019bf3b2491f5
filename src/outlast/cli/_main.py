"""Find the command that was asked for, and turn every error into a message and an exit code.

A new command is a module of this room with a typer `app`, and a line in `_COMMANDS`.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from outlast.cli._exit import CommandError, ExitCode, code_of, end_output, of_system
from outlast.errors import OutlastError

_COMMANDS = {
    "demo": "watch an application go on while the API behind it fails, beside one without outlast",
    "explain": "show what the pipelines of a file do, and what looks wrong about them",
    "outbox": "look into an outbox, decide about conflicts and dead letters, examine and salvage a file",
    "push": "send every record of a file to an HTTP API, and lose none",
}
"""Name -> what it does; the command `name` is the `app` of the module `outlast.cli.name`."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with a code of `ExitCode`.

    Args:
        arguments: What stands after `outlast` on the command line. Default: what the process was started with.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # so that no letter of an id ends a command
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except CommandError as error:
        code = _complain(error.text, error.code)
    except OutlastError as error:
        code = _complain(str(error), code_of(error))
    except OSError as error:
        code = _refused(error)
    except KeyboardInterrupt:
        code = _complain("interrupted; nothing was under way", ExitCode.INTERRUPTED)
    except Exception as error:
        if os.environ.get("OUTLAST_TRACEBACK"):
            raise
        said = f"unexpected {type(error).__name__}: {error}"
        advice = "Set OUTLAST_TRACEBACK=1 and run it again to see where; please report it."
        code = _complain(f"{said}\n{advice}", ExitCode.FAILED)
    _drop_output()
    sys.exit(int(code))


def _drop_output() -> None:
    """Drop what cannot be written: Python would try it again at the end, and end with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        end_output()


def _refused(error: OSError) -> ExitCode:
    if isinstance(error, BrokenPipeError):
        end_output()
        return ExitCode.DELIVERED
    found = of_system(error)
    return _complain(found.text, found.code)


def _complain(text: str, code: ExitCode) -> ExitCode:
    print(f"outlast: {text}", file=sys.stderr)
    return code


def _dispatch(words: list[str]) -> ExitCode:
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in {"-h", "--help"}:
        print(_overview())
    elif name == "--version":
        from importlib.metadata import version

        print(f"outlast {version('outlast')}")
    elif name in _COMMANDS:
        _start(name, rest)
    else:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(_COMMANDS)}"
        raise CommandError(ExitCode.USAGE, f"no such command: {name}; {hint}")
    return ExitCode.DELIVERED


def _overview() -> str:
    # Written by hand, so that asking what there is loads nothing.
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in _COMMANDS.items()]
    return "\n".join(["usage: outlast COMMAND ...", "", *lines, "", "outlast COMMAND --help says more."])


def _start(name: str, rest: list[str]) -> None:
    """Run a command; it ends the process by itself."""
    # Not from outlast.storage, which would load the store's machinery for a question about --help.
    try:
        import_module("typer")
    except ModuleNotFoundError as error:
        text = f'the command line needs {error.name}, which is not installed; run: pip install "outlast[cli,store]"'
        raise CommandError(ExitCode.FAILED, text) from error
    import_module(f"outlast.cli.{name}").app(args=rest, prog_name=f"outlast {name}")


__all__ = ["main"]
