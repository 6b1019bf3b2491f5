"""`outlast outbox doctor`: what it finds, what it saves, and the code that it ends with."""

import subprocess
import sys

import pytest

from damaged import PAGE, make, root_of
from outlast.outbox import SyncOutbox


@pytest.fixture
def hurt(tmp_path):
    """A file of which the root of the table of waiting writes is wiped out."""
    path = tmp_path / "app.db"
    content = bytearray(make(path))
    begin = (root_of(path, "op") - 1) * PAGE
    content[begin : begin + PAGE] = bytes(PAGE)
    path.write_bytes(content)
    return path


def test_a_sound_outbox(outbox, filled):
    """Nothing is found on either store, and the explanation of a write names who is missing."""
    assert (outbox("doctor", filled).out, outbox("doctor", filled).code) == ("nothing is wrong\n", 0)
    assert outbox("doctor", filled, "--json").json == {"sound": True, "findings": []}
    assert [why["code"] for why in outbox("doctor", filled, "--explain", 5, "--json").json["why"]] == ["nobody"]
    assert "start a process" in outbox("doctor", filled, "--explain", 5).out


def test_a_damaged_file_is_named_and_saved(outbox, hurt, tmp_path):
    """Whoever opens it is sent to the doctor, the doctor to the salvage, and after it all is well."""
    opened = outbox("replay", hurt, 1)
    found = outbox("doctor", hurt)
    saved = outbox("doctor", hurt, "--salvage", hurt, "--quarantine")

    assert opened.code == 8
    assert (found.code, saved.code) == (14, 0)
    assert "damaged: op, on page" in found.out
    assert "--salvage NEW" in found.out
    assert "130 waiting, 3 parked, 27 receipts" in saved.out
    assert "everything could be read" in saved.out
    assert outbox("doctor", hurt).code == 0
    assert [path.name for path in tmp_path.iterdir() if ".damaged-" in path.name]


def test_a_server_that_is_away_is_no_damage(outbox):
    """It was a finding, and the remedy for it a salvage that is not to be had of a server."""
    found = outbox("doctor", "postgresql://127.0.0.1:1/d", "--json")

    assert (found.code, found.json["exit"]) == (8, "not_an_outbox")
    assert "cannot be reached" in found.json["message"]


def test_what_is_lost_is_said(outbox, hurt):
    """A file that was cut off ends with code 14 and names the places, in words and as JSON."""
    hurt.write_bytes(hurt.read_bytes()[: 7 * PAGE])

    report = outbox("doctor", hurt, "--salvage", f"{hurt}.1", "--json")
    said = outbox("doctor", hurt, "--salvage", f"{hurt}.2")

    assert (report.code, said.code) == (14, 14)
    assert (report.json["whole"], report.json["missing"]) == (False, [[31, 160]])
    assert "LOST or settled without a trace: whatever lay at the places 31-160" in said.out


def test_a_new_epoch(outbox, filled):
    """It is told, and new keys begin with it."""
    begun = outbox("doctor", filled, "--new-epoch", "--json").json

    with SyncOutbox.open(filled) as box:
        assert box.put("note", "x", {}).key.startswith(f"{begun['keys_begin_with']}:")
    assert outbox("doctor", filled, "--new-epoch").out.startswith("epoch 3-")


def test_a_salvage_beside_a_running_process_is_refused(outbox, hurt, tmp_path):
    """What it queued meanwhile would be missing; a server's database is not salvaged at all."""
    make(tmp_path / "live.db")
    program = (
        "import sys; from outlast.outbox import SyncOutbox\n"
        "with SyncOutbox.open(sys.argv[1]) as box: box.put('n', 'x', {}); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, tmp_path / "live.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        busy = outbox("doctor", tmp_path / "live.db", "--salvage", tmp_path / "new.db")
        process.stdin.close()
    server = outbox("doctor", "postgresql://127.0.0.1:1/d", "--salvage", tmp_path / "new.db")

    assert (busy.code, "open in another process" in busy.err) == (11, True)
    assert (server.code, "--new-epoch" in server.err) == (2, True)
    assert not list(tmp_path.glob("new.db*"))
