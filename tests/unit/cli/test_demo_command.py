"""The command `outlast demo`: its options, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

import outlast.cli
from outlast.cli import demo as command
from outlast.cli._exit import ExitCode


def ended(*words):
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        outlast.cli.main(["demo", *words])
    return caught.value.code


def good_report(*broken):
    """Make a report that the verdict can be drawn from."""
    reads = {"total": 10, "answered": 10, "stale": 1, "wrong": 0, "max_age": 2.0}
    names = ("asked", "acknowledged", "delivered", "refused", "refused_yet_applied", "lost", "doubled", "unknown")
    counted = {"reads": reads, "first_reads": reads, "writes": dict.fromkeys(names, 0), "recovered_after": 1.0}
    return {
        "outlast": counted, "plain": counted, "notes": ["  5.0 s  a note"],
        "verdict": {"ok": not broken, "broken": list(broken)},
    }  # fmt: skip


@pytest.fixture
def play(monkeypatch):
    """Put on a play that takes no time and does as told; tell with which options it was asked for."""
    asked = []

    def plant(act):
        class Play:
            def __init__(self, options, show):
                asked.append(options)

            async def play(self):
                return await act()

        monkeypatch.setattr(command, "Demo", Play)
        return asked

    return plant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--seconds", "9.9"], "--seconds must be at least 10, not 9.9", id="too-short"),
        pytest.param(["--seconds", "nan"], "--seconds must be at least 10, not nan", id="no-number"),
        pytest.param(["--plant", "gone"], "--plant is lost or doubled, not 'gone'", id="plant"),
        pytest.param(["--keep", "{full}"], "is not empty", id="keep"),
        pytest.param(["--keep", "{file}"], "is a file", id="keep-file"),
        pytest.param(["--second", "30"], "--second", id="unknown"),
        pytest.param(["--seconds", "soon"], "Invalid value", id="word"),
        pytest.param(["--seconds", "inf"], "--seconds must be at least 10, not inf", id="for-ever"),
    ],
)
def test_a_wrong_option_is_told_before_anything_starts(tmp_path, capsys, play, words, said):
    """A mistake in the command ends it with code 2 and one line, and no process was started."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    places = {"full": tmp_path / "full", "file": tmp_path / "full" / "file"}
    asked = play(lambda: None)

    assert ended(*(word.format(**places) for word in words)) == ExitCode.USAGE
    assert said in capsys.readouterr().err.replace("\n", "")
    assert asked == []


def test_a_good_play_ends_with_zero_and_the_report(capsys, play, tmp_path):
    """The last line of standard output is the report as one object; people read standard error."""

    async def act():
        return good_report()

    asked = play(act)
    folder = tmp_path / "new"

    assert ended("--seconds", "30", "--seed", "7", "--headless", "--json", "--keep", str(folder)) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == good_report()
    assert "every promise was kept" in err
    assert err.count("a note") == 1
    assert (asked[0].seconds, asked[0].seed, asked[0].folder, asked[0].plant) == (30.0, 7, folder, None)


def test_without_json_standard_output_stays_empty(capsys, play):
    """What is for people does not mix with what is for programs."""

    async def act():
        return good_report()

    play(act)

    assert ended() == 0
    assert capsys.readouterr().out == ""


def test_a_broken_promise_is_in_the_exit_code(capsys, play):
    """A red verdict ends with a code of its own and names the promise."""

    async def act():
        return good_report("1 acknowledged writes are lost")

    play(act)

    assert ended("--plant", "lost") == ExitCode.BROKEN_PROMISE
    assert "broken: 1 acknowledged writes are lost" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        pytest.param(signal.SIGINT, ExitCode.INTERRUPTED, "interrupted", id="ctrl-c"),
        pytest.param(signal.SIGTERM, ExitCode.TERMINATED, "terminated", id="sigterm"),
    ],
)
def test_a_signal_ends_the_play_and_its_processes(capsys, play, number, code, said):
    """The play is cancelled, so that it can end what it started, and the code says which signal it was."""
    ends = []

    async def act():
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("closed")

    play(act)

    assert ended() == code
    assert f"{said}; every process of the play was ended" in capsys.readouterr().err
    assert ends == ["closed"]


def test_a_process_that_does_not_start_is_no_traceback(capsys, play):
    """What a process said when it failed is told in one line, with a way to know more."""

    async def act():
        raise RuntimeError("outlast.lab.notes_api of outlast did not start: no space left")

    play(act)

    assert ended() == ExitCode.FAILED
    assert "no space left\nUse --keep FOLDER to have all logs." in capsys.readouterr().err
