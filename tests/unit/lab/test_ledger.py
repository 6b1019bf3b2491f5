from __future__ import annotations

import os

import pytest

from outlast.lab.ledger import Ledger, read_ledger


def test_lines_have_the_documented_members(tmp_path):
    """Each kind of line holds exactly what the schema says."""
    path = tmp_path / "app.jsonl"
    with Ledger(path) as ledger:
        ledger.ask_write("w-1", "own-1", at=1.0)
        ledger.ack("w-1", "own-1", at=2.0)
        ledger.refused("w-2", "own-1", error="gone", at=3.0)
        ledger.read("own-1", asked=4.0, at=5.0, write=None, age=0.5, stale=True, source="memory")
        ledger.unanswered("own-1", asked=6.0, at=7.0, error="timeout")

    assert read_ledger(path) == [
        {"kind": "ask", "write": "w-1", "note": "own-1", "at": 1.0},
        {"kind": "ack", "write": "w-1", "note": "own-1", "at": 2.0},
        {"kind": "refused", "write": "w-2", "note": "own-1", "error": "gone", "at": 3.0},
        {"kind": "read", "note": "own-1", "asked": 4.0, "at": 5.0, "answered": True, "write": None, "age": 0.5}
        | {"stale": True, "source": "memory", "error": None},
        {"kind": "read", "note": "own-1", "asked": 6.0, "at": 7.0, "answered": False, "write": None, "age": 0.0}
        | {"stale": False, "source": "none", "error": "timeout"},
    ]


def test_a_line_is_on_disk_before_the_call_returns(tmp_path, monkeypatch):
    """The file is synced after the line was written, once for each line."""
    path, synced = tmp_path / "app.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(len(read_ledger(path))))
    with Ledger(path) as ledger:
        ledger.ack("w-1", "n", at=1.0)
        ledger.ack("w-2", "n", at=2.0)

    assert synced == [1, 2]


def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path):
    """After a kill in the middle of a line, reading skips it and appending starts on a line of its own."""
    path = tmp_path / "app.jsonl"
    with Ledger(path) as ledger:
        ledger.ack("w-1", "n", at=1.0)
    with path.open("ab") as file:
        file.write(b'{"kind": "ack", "wri')

    assert [entry["write"] for entry in read_ledger(path)] == ["w-1"]
    with Ledger(path) as ledger:
        ledger.ack("w-2", "n", at=2.0)
    assert [entry["write"] for entry in read_ledger(path)] == ["w-1", "w-2"]


def test_a_broken_line_before_the_last_is_named(tmp_path):
    """A ledger that is damaged elsewhere is not read as if it were whole."""
    path = tmp_path / "app.jsonl"
    path.write_text('{"kind": "ack"}\nnonsense\n{"kind": "ack"}\n')

    with pytest.raises(ValueError, match=r"app\.jsonl, line 2"):
        read_ledger(path)


def test_a_short_write_is_an_error(tmp_path, monkeypatch):
    """A full disk is reported, not taken for a written line."""
    with Ledger(tmp_path / "app.jsonl") as ledger:
        monkeypatch.setattr(os, "write", lambda _file, data: len(data) - 1)
        with pytest.raises(OSError, match="disk full"):
            ledger.ack("w-1", "n", at=1.0)


def test_closing_twice_is_harmless(tmp_path):
    """A ledger may be closed by hand inside its block."""
    with Ledger(tmp_path / "app.jsonl") as ledger:
        ledger.close()
