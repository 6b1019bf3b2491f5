"""The command itself: what it offers, and that no mistake ends in a traceback."""

import re
import sys
import types

import pytest

from house import ROOT
from outlast.cli import _main as cli
from outlast.cli._exit import CommandError, ExitCode, code_of
from outlast.errors import (
    AuthenticationError,
    ConfigError,
    CorruptError,
    LeaseHeldError,
    LeaseLostError,
    MissingExtraError,
    NewerFormatError,
    NotOursError,
    OutlastError,
    StorageBusyError,
    StorageFullError,
)


def ended(words):
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    return caught.value.code


@pytest.fixture
def command(monkeypatch):
    """Plant a command that does as told."""

    def plant(error):
        def app(args, prog_name):
            raise error

        monkeypatch.setitem(sys.modules, "outlast.cli.boom", types.SimpleNamespace(app=app))
        monkeypatch.setattr(cli, "_COMMANDS", {"boom": "fail", **cli._COMMANDS})

    return plant


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_overview_lists_every_command(capsys, words):
    """Asking what there is lists each command with what it does."""
    assert ended(words) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli._COMMANDS)


def test_version_is_told(capsys):
    """--version prints name and version."""
    assert ended(["--version"]) == 0
    assert re.fullmatch(r"outlast \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(("word", "said"), [("psuh", "did you mean push?"), ("xyz", "there are: ")])
def test_unknown_command_suggests(capsys, word, said):
    """A mistyped command names the nearest."""
    assert ended([word]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CommandError(ExitCode.DUPLICATE_ID, "twice", "Keep one."), 4, "outlast: twice\nKeep one.\n"),
        (ConfigError("wrong", path="x"), 2, "outlast: x: wrong\n"),
        (KeyboardInterrupt(), 130, "outlast: interrupted; nothing was under way\n"),
        (RuntimeError("oops"), 1, "outlast: unexpected RuntimeError: oops\nSet OUTLAST_TRACEBACK=1"),
    ],
)
def test_error_is_said_in_words(capsys, command, error, code, said):
    """Every error ends with its code and a message, without a traceback."""
    command(error)

    assert ended(["boom"]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert "Traceback" not in err


def test_traceback_is_there_when_asked_for(monkeypatch, command):
    """OUTLAST_TRACEBACK=1 lets an unexpected error through."""
    monkeypatch.setenv("OUTLAST_TRACEBACK", "1")
    command(RuntimeError("oops"))

    with pytest.raises(RuntimeError):
        cli.main(["boom"])


def test_missing_extra_is_one_line(capsys, monkeypatch):
    """Without typer the command says what to install."""
    monkeypatch.setitem(sys.modules, "typer", None)

    assert ended(["push"]) == ExitCode.FAILED
    assert 'pip install "outlast[cli,store]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotOursError(), 8),
        (CorruptError(), 8),
        (NewerFormatError(), 9),
        (StorageFullError(), 10),
        (StorageBusyError(), 11),
        (LeaseHeldError(), 11),
        (LeaseLostError(), 11),
        (AuthenticationError(), 12),
        (ConfigError(), 2),
        (MissingExtraError(), 1),
        (OutlastError(), 1),
    ],
)
def test_each_error_has_its_code(error, code):
    """The class of an error decides the exit code."""
    assert code_of(error) == code


def test_page_lists_exactly_the_codes():
    """docs/reference/exit-codes.md has a row for each code with its word, and no other."""
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)

    assert rows == [(str(int(code)), code.word) for code in ExitCode]
