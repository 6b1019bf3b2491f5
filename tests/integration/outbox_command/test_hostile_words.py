"""What servers and programs have written does nothing to a terminal, and no letter of it ends a command."""

import asyncio
import io
import json
import os
import subprocess
import sys

import pytest

from delivering import deliver, opened, put
from outlast import cli
from outlast.outbox import Applied, Rejected

BELL, CLEAR, CSI, TURN, HALF = "\x1b]0;t\x07", "\x1b[2J", "\x9b31m", "\u202e", "\\ud800"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """An outbox in which everything that others write is hostile."""
    path = tmp_path_factory.mktemp("hostile") / "app.db"
    entity, body = f"x{CLEAR}\x00\ny{TURN}", f'{{"a":"{HALF}","b":"{TURN}{CSI}"}}'.encode()

    async def send(op):
        return Rejected(f"no {BELL}{CSI}word") if op.entity == entity else Applied()

    async def fill():
        async with opened(path) as box:
            await box.enqueue(put(entity, body), put("bytes", b"\xff\x00"))
            await deliver(box, send)
            await box.enqueue(put(entity, body))

    asyncio.run(fill())
    return path


LOOKS = [("list",), ("dead",), ("conflicts",), ("show", "1"), ("show", "3"), ("status",), ("export",)]


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_is_done_to_a_terminal(outbox, hostile, words, as_json):
    """No control character comes out but the ends of lines, and JSON has all that was written."""
    command, *rest = words

    done = outbox(command, hostile, *rest, *(["--json"] if as_json and command != "export" else []))

    assert done.code == 0
    assert {letter for letter in done.out if letter < " " or "\x7f" <= letter <= "\x9f" or letter == TURN} <= {"\n"}
    if as_json and command == "list":
        assert done.json["writes"][0]["entity"] == f"x{CLEAR}\x00\ny{TURN}"
    if command == "export":
        assert json.loads(json.loads(done.out.splitlines()[0])["body"])["a"] == "\ud800"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_lacks_letters_ends_nothing(hostile, monkeypatch, encoding):
    """Text has escapes for them, and JSON stays JSON."""
    for words in LOOKS:
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        with pytest.raises(SystemExit) as caught:
            cli.main(["outbox", words[0], str(hostile), *words[1:], *(["--json"] if words[0] != "export" else [])])

        sys.stdout.flush()
        assert not caught.value.code
        text = raw.getvalue().decode(encoding)
        assert [json.loads(part) for part in (text.splitlines() if words[0] == "export" else [text])]


@pytest.mark.parametrize("seq", ["9" * 20, "9" * 5000, str(1 << 63)])
def test_a_place_that_cannot_be_is_a_mistake(outbox, hostile, seq):
    """Whatever its length, it is told as any other."""
    done = outbox("show", hostile, seq)

    assert (done.code, done.out) == (2, "")
    assert "SEQ must be the place of a write" in done.err


def test_a_question_does_not_spoil_json(outbox, hostile, monkeypatch):
    """With --json what is to be forgotten is shown beside the JSON and not before it."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    done = outbox("discard", hostile, "1", "--json")

    assert (done.code, done.json["exit"]) == (2, "usage")
    assert "1: put note" in done.err


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_an_output_that_is_full_or_closed(hostile, monkeypatch, unbuffered):
    """A full disk has the code of one, and whoever has read enough is no mistake."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    command = [sys.executable, "-m", "outlast.cli", "outbox", "list", str(hostile)]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    read, write = os.pipe()
    os.close(read)
    closed = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(write)

    assert (done.returncode, done.stderr) == (10, "outlast: No space left on device\n")
    assert (closed.returncode, closed.stderr) == (0, "")
