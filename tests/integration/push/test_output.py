"""What a push prints does nothing to a terminal, and who reads it changes nothing of how it ended."""

import json
import os
import subprocess
import sys

import pytest

from unmeasured import UNMEASURED

TITLE, CSI = "\x1b]0;t\x07", "\x9b31m"


@pytest.fixture
def refusing(server):
    """A server that refuses everything in words that are hostile to a terminal."""
    problem = json.dumps({"title": f"no {TITLE}{CSI}word"}).encode()
    server.answers = [(422, {"Content-Type": "application/problem+json"}, problem)]
    return server


def test_words_of_a_server_are_words(push, refusing, lines):
    """No control character of a server reaches the terminal, neither in the receipt nor as JSON."""
    for options in ((), ("--json",)):
        done = push(lines(1), "--to", f"{refusing.url}/{{id}}", *options)

        assert done.code == 7
        assert {letter for letter in done.out if letter < " " or "\x7f" <= letter <= "\x9f"} == {"\n"}
    assert f"no {TITLE}{CSI}word" in done.receipt["reasons"][0]["reason"]


def test_a_reader_that_has_had_enough_changes_nothing(refusing, lines):
    """The code is that of the delivery, although nobody reads the receipt."""
    command = [sys.executable, "-m", "outlast.cli", "push", str(lines(1)), "--to", f"{refusing.url}/{{id}}"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60, env=UNMEASURED
    )
    os.close(write)

    assert done.returncode == 7
    assert "Error" not in done.stderr
