"""A token that is given by --header travels with each request and lies nowhere."""

import json
import os
import subprocess
import sys

import pytest

TOKEN = "tk-3c1f0e9b7d5a"
VERBOSE = (
    "import logging, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stderr);"
    "from outlast.cli import main; main(sys.argv[1:])"
)


@pytest.mark.parametrize(
    ("header", "environment"),
    [(f"Authorization: Bearer {TOKEN}", {}), ("Authorization: Bearer @env:SECRET", {"SECRET": TOKEN})],
    ids=["on-the-command-line", "from-the-environment"],
)
def test_token_lies_nowhere(server, lines, tmp_path, header, environment):
    """Not in the outbox, its WAL or any file beside it, not in output or debug logs, even if the server repeats it."""
    repeated = json.dumps({"detail": f"the token {TOKEN} may not do this"}).encode()
    server.answers = [
        (403, {"X-Echo": "no"}, repeated),
        (503, {}, repeated),
        (412, {}, repeated),
        (500, {}, repeated),
    ] * 5
    server.answers.append((200, {}, b""))
    command = [sys.executable, "-c", VERBOSE, "push", str(lines(40)), "--to", f"{server.url}/{{id}}", "--create"]
    process = subprocess.Popen(
        [*command, "--header", header, "--patience", "2s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )
    spread = []
    while True:
        # The files are read while they are written: what was in the WAL for a moment was on the disk.
        spread += _files_with_token(tmp_path)
        try:
            out, err = process.communicate(timeout=0.05)
            break
        except subprocess.TimeoutExpired:
            continue

    assert {headers["Authorization"] for _, _, headers, _ in server.seen} == {f"Bearer {TOKEN}"}
    assert spread + _files_with_token(tmp_path) == []
    assert TOKEN.encode() not in out + err
    assert b"(secret)" in out
    assert b"httpcore" in err, "the debug log was not on"


def _files_with_token(folder):
    found = []
    for path in folder.iterdir():
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        if TOKEN.encode() in data:
            found.append(path.name)
    return found
