"""The commands that only look: they tell all there is, change nothing, and make nothing."""

import base64
import json
from pathlib import Path

import pytest

from outlast.cli._exit import CommandError
from outlast.cli._outbox_export import write_whole
from outlast.events import EventBus
from outlast.outbox import SyncOutbox, Verb, Write


def test_status_counts_and_says_what_holds_everything_up(outbox, filled):
    """Each state has its number; that nobody delivers, and which origin asked for a rest, is said."""
    filled.execute("INSERT INTO $origin (name, until, delay, reason) VALUES ('http://x', 9e9, 60, '429 slow')")

    found = outbox("status", filled, "--json").json
    said = outbox("status", filled)

    assert {name: found[name] for name in ("ready", "waiting", "conflict", "dead", "delivered", "open")} == {
        "ready": 1, "waiting": 1, "conflict": 1, "dead": 1, "delivered": 1, "open": 2,
    }  # fmt: skip
    assert "no process delivers" in found["notes"][0]
    assert found["notes"][1] == "http://x asked not to be called for another 60 s: 429 slow"
    assert (said.code, said.err) == (0, "")
    assert "conflict" in said.out


def test_list_by_state_and_kind(outbox, filled):
    """The list is by place, of one state or one kind if that is asked for."""

    def places(*options):
        return [one["seq"] for one in outbox("list", filled, "--json", *options).json["writes"]]

    assert places() == [1, 2, 3, 4, 5]
    assert places("--state", "dead") == [2]
    assert places("--kind", "letter") == [5]
    assert places("--limit", "2") == [1, 2]
    assert "422 no [bold]such[/] field" in outbox("list", filled).out
    assert outbox("list", filled, "--kind", "none").out == "there is no such write\n"


def test_show_has_everything(outbox, filled):
    """A write is shown with its bodies, its key, what was sealed, and why it does not go."""
    doubt, ready, fine = (outbox("show", filled, seq, "--json").json for seq in (4, 5, 1))
    said = outbox("show", filled, 4).out

    assert (doubt["body"], doubt["base"], doubt["if_match"]) == ('{"n":2}', '{"n":1}', '"1"')
    assert doubt["sealed"]["doubt"] is True
    assert doubt["sealed"]["reason"] == "it broke off"
    assert base64.b64decode(ready["body_base64"]) == b"\xff\x00"
    assert (fine["state"], fine["etag"], fine["why"]) == ("delivered", '"1"', ["it is delivered"])
    assert doubt["key"] in said
    assert "ff 00" in outbox("show", filled, 5).out


def test_conflicts_show_three_sides(outbox, filled):
    """Base, ours and theirs stand beside each other, with what is to be decided."""
    (conflict,) = outbox("conflicts", filled, "--json").json["conflicts"]
    said = outbox("conflicts", filled).out

    assert [conflict[name] for name in ("seq", "base", "body", "theirs", "etag")] == [
        3, '{"n":1}', '{"n":2}', '{"n":3}', '"9"',
    ]  # fmt: skip
    (line,) = [line for line in said.splitlines() if '"n"' in line]
    assert [part in line for part in ('"n": 1', '"n": 2', '"n": 3')] == [True] * 3
    assert "to be decided: n" in said


@pytest.mark.parametrize("columns", [0, 80])
@pytest.mark.parametrize("words", [("conflicts",), ("list",), ("show", 1)], ids=lambda words: words[0])
def test_nothing_is_cut_where_there_is_little_room(outbox, long_words, monkeypatch, columns, words):
    """What differs may be the end of it: ours and theirs were shown as the same, and two writes as one."""
    monkeypatch.setenv("COLUMNS", "2000")
    wide = outbox(words[0], long_words, *words[1:]).out
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = outbox(words[0], long_words, *words[1:]).out

    assert wide.count("x") >= 100
    assert (narrow.count("x"), "\u2026" in narrow) == (wide.count("x"), False)


def test_a_terminal_without_a_width_is_told_too(outbox, filled_file, monkeypatch):
    """Nothing at all was printed, and the exit code was 0."""
    monkeypatch.setenv("COLUMNS", "0")

    assert "conflict   1" in outbox("status", filled_file).out


def test_dead_letters_show_their_reason(outbox, filled):
    """What the server said stands there as it was said."""
    (dead,) = outbox("dead", filled, "--json").json["dead"]

    assert (dead["seq"], dead["reason"], dead["theirs"]) == (2, "422 no [bold]such[/] field", None)
    assert "422 no [bold]such[/] field" in outbox("dead", filled).out
    assert "1 of 1" in outbox("dead", filled).out


def test_export_is_there_as_a_whole(outbox, filled, tmp_path):
    """Each undelivered write is a line, in a file or on standard output."""
    to = tmp_path / "out.jsonl"

    said = outbox("export", filled, "--to", to)
    lines = [json.loads(line) for line in to.read_text().splitlines()]

    assert [(line["seq"], line["state"]) for line in lines] == [
        (2, "dead"), (3, "conflict"), (4, "waiting"), (5, "ready"),
    ]  # fmt: skip
    assert said.out == f"4 writes in {to}\n"
    assert outbox("export", filled).out == outbox("export", filled, "--json").out == to.read_text()


def test_export_speaks_json_as_the_other_commands_do(outbox, filled, tmp_path):
    """How many went into a file, and what went wrong, is one object."""
    done = outbox("export", filled, "--to", tmp_path / "out.jsonl", "--json").json
    failed = outbox("export", filled, "--to", tmp_path / "no" / "out.jsonl", "--json")

    assert (done["exported"], done["to"]) == (4, str(tmp_path / "out.jsonl"))
    assert (failed.code, failed.json["exit"]) == (2, "usage")


def test_export_that_ends_early_leaves_what_was_there(tmp_path):
    """A failure in the middle changes nothing of the file and leaves no other."""

    def lines():
        yield "one"
        raise OSError(28, "No space left on device")

    to = tmp_path / "out.jsonl"
    to.write_text("before")

    with pytest.raises(CommandError, match="nothing was written") as caught:
        write_whole(to, lines())

    assert caught.value.code.word == "disk_full"
    assert (to.read_text(), list(tmp_path.iterdir())) == ("before", [to])


LOOKING = (("status",), ("list",), ("show", "2"), ("conflicts",), ("dead",), ("export",), ("doctor",))


def test_looking_changes_nothing(outbox, filled):
    """The file stays as it is byte for byte, nothing is made beside it, and in a schema nothing changes."""
    before = contents(filled)

    codes = [outbox(words[0], filled, *words[1:]).code for words in LOOKING]

    assert codes == [0] * len(LOOKING)
    assert contents(filled) == before


def contents(place):
    """Return all that a place holds."""
    if place.kind == "sqlite":
        folder = Path(place).parent
        return {path.name: path.read_bytes() for path in folder.iterdir()}
    tables = ("meta", "op", "seal", "parked", "receipt", "lease", "writer", "layout")
    return {table: sorted(map(str, place.execute(f"SELECT * FROM ${table}"))) for table in tables}


def test_where_there_is_no_outbox_none_is_made(outbox, place):
    """A name that leads nowhere is a mistake, and after it there is still nothing."""
    done = outbox("status", place)

    assert done.code == (2 if place.kind == "sqlite" else 8)
    assert "Traceback" not in done.err
    if place.kind == "sqlite":
        assert list(Path(place).parent.iterdir()) == []
    else:
        assert place.server.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", place.schema) == []


class Reversed:
    """A codec that hides bodies from whoever cannot read backwards."""

    name = "reversed"

    def encode(self, body):
        return body[::-1]

    def decode(self, stored):
        return stored[::-1]


def test_bodies_of_a_codec_are_shown_as_they_are_stored(outbox, place):
    """The command has no codec: it says so, and takes what is stored for no damage."""
    with SyncOutbox.open(place, codec=Reversed(), bus=EventBus()) as box:
        box.enqueue(Write(verb=Verb.PUT, kind="note", entity="a", body=b"[1,2}"))

    assert "codec 'reversed'" in outbox("status", place).out
    assert outbox("show", place, 1, "--json").json["body"] == "}2,1["
    assert outbox("doctor", place).code == 0
