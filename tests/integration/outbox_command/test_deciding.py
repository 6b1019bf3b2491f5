"""The commands that decide, also beside a process that delivers, and every mistake that can be made with them."""

import asyncio
import sys

import pytest

from delivering import opened, until
from outlast.outbox import Applied, Counts, OpState, Rejected
from outlast.sync_engine import CallableTransport, Runner


def row(place, seq):
    """Return what waits at a place."""
    return [tuple(found) for found in place.execute("SELECT body, if_match, generation FROM $op WHERE seq = ?", seq)]


def test_replay_with_a_fix(outbox, filled, tmp_path):
    """A conflict goes again with another body, on the version that was found; a dead letter over whatever is there."""
    fix = tmp_path / "fix.json"
    fix.write_bytes(b'{"n":5}')

    fixed = outbox("replay", filled, "3", "--body", fix, "--if-match", "theirs", "--json")
    plain = outbox("replay", filled, 2)

    assert fixed.json == {"replayed": [3]}
    assert plain.out == "replayed: 2\n"
    assert row(filled, 3) == [(b'{"n":5}', '"9"', 1)]
    assert row(filled, 2) == [(b'{"n":2}', '"1"', 0)]
    assert outbox("status", filled, "--json").json["ready"] == 3


def test_replay_over_whatever_is_there(outbox, filled):
    """Without a version nothing is asked of the server."""
    assert outbox("replay", filled, "3", "--overwrite").code == 0
    assert row(filled, 3) == [(b'{"n":2}', None, 1)]


def test_discard_asks(outbox, filled, monkeypatch):
    """Where nobody can be asked nothing is forgotten; a no is respected, a yes is done."""
    refused = outbox("discard", filled, "2")
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    no = outbox("discard", filled, "2")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    yes = outbox("discard", filled, "2")
    both = outbox("discard", filled, "3", "3", "--yes", "--json")

    assert [done.code for done in (refused, no, yes, both)] == [2, 2, 0, 0]
    assert "nobody can be asked here" in refused.err
    assert "422 no" in no.out
    assert both.json == {"discarded": [3]}
    assert outbox("status", filled, "--json").json["dead"] == 0


@pytest.mark.parametrize("answer", [KeyboardInterrupt, ""], ids=["ctrl-c", "end-of-input"])
def test_discard_is_interrupted_while_it_asks(outbox, filled_file, monkeypatch, answer):
    """It ends as every command does that is interrupted, and with JSON where that was asked for; it was a bare 1."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    ended = outbox("discard", filled_file, "2", "--json")

    assert (ended.code, ended.json) == (
        130, {"exit_code": 130, "exit": "interrupted", "message": "nothing was discarded"},
    )  # fmt: skip
    assert outbox("status", filled_file, "--json").json["dead"] == 1


class Terminal:
    """Somebody at a terminal with an answer."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self, *_):
        if isinstance(self.answer, str):
            return self.answer
        raise self.answer


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("status", "nowhere.db"), "nowhere.db: there is no such file", id="no-file"),
        pytest.param(("show", "BOX", "99"), "knows no write 99", id="no-write"),
        pytest.param(("show", "BOX", "two"), "SEQ must be the place of a write", id="no-number"),
        pytest.param(("show", "5", f"postgresql://u:{SECRET}@h/d"), "SEQ must be", id="order"),
        pytest.param(("status", f"postgres:/u:{SECRET}@h/d"), "it is not shown here", id="half-an-address"),
        pytest.param(("status", f"host=h password={SECRET}"), "it is not shown here", id="words-of-libpq"),
        pytest.param(("status", f"postgresql://u:{SECRET}@[h/d"), "is no PostgreSQL address", id="address"),
        pytest.param(("replay", "BOX", "5"), "no write 5 lies in the conflicts", id="not-parked"),
        pytest.param(("replay", "BOX", "2", "3", "--body", "-"), "--body is for one write", id="one-body-for-two"),
        pytest.param(("replay", "BOX", "2", "--body", "none.json"), "none.json: No such file", id="no-body"),
        pytest.param(("replay", "BOX", "2", "--if-match", "theirs"), "--overwrite", id="no-version"),
        pytest.param(("replay", "BOX", "3", "2", "--if-match", "theirs"), "write 2: it is", id="no-version-of-one"),
        pytest.param(("replay", "BOX", "2", "--if-match", '"\u20ac"'), "cannot be sent as a header", id="no-header"),
        pytest.param(("replay", "BOX", "2", "--if-match", "x", "--overwrite"), "contradict", id="both"),
        pytest.param(("discard", "BOX", "2", "99", "--yes"), "no write 99 lies in", id="all-or-none"),
        pytest.param(("export", "BOX", "--to", "none/out"), "nothing was written", id="no-folder"),
        pytest.param(("doctor", "BOX", "--quarantine"), "--quarantine with --salvage", id="quarantine-alone"),
        pytest.param(("doctor", "BOX", "--salvage", "fix"), "fix exists already", id="salvage-over-a-file"),
        pytest.param(("list", "BOX", "--state", "gone"), "--state", id="state"),
    ],
)
def test_mistakes_are_told_on_one_screen(outbox, filled_file, monkeypatch, words, said):
    """Every mistake ends with code 2, names itself and shows no password; nothing is decided by halves."""
    monkeypatch.chdir(filled_file.path.parent)
    (filled_file.path.parent / "fix").touch()
    (filled_file.path.parent / "5").touch()

    done = outbox(*[str(filled_file) if word == "BOX" else word for word in words])

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert SECRET not in done.err
    assert len(done.err.splitlines()) < 10
    after = outbox("status", filled_file, "--json").json
    assert (after["conflict"], after["dead"]) == (1, 1)


def test_an_error_is_json_too(outbox, tmp_path):
    """With --json a mistake is an object with its code."""
    done = outbox("status", tmp_path / "none.db", "--json")

    assert done.json["exit_code"] == done.code == 2
    assert done.json["exit"] == "usage"


def test_a_password_is_not_shown_where_the_server_is_away(outbox):
    """The address in the message has neither user nor password."""
    done = outbox("status", f"postgresql://user:{SECRET}@127.0.0.1:1/d", "--json")

    assert (done.code, "127.0.0.1:1" in done.err) == (8, True)
    assert SECRET not in done.err + done.out


async def test_beside_a_process_that_delivers(place):
    """What another process replays is delivered by the runner that stands by, without a restart."""
    answers = [Rejected("422"), Applied()]

    async def send(op):
        return answers.pop(0)

    async with opened(place) as box, Runner(box, CallableTransport(send)) as runner:
        task = asyncio.create_task(runner.run_forever())
        ticket = await box.put("note", "a", {})
        assert (await ticket.settled(60)).state is OpState.DEAD
        command = [sys.executable, "-W", "error", "-m", "outlast.cli", "outbox", "replay", str(place), "1"]
        process = await asyncio.create_subprocess_exec(*command)
        assert await process.wait() == 0
        await until(lambda: not answers)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until_delivered(box)


async def until_delivered(box):
    """Wait until the only write is delivered."""
    assert (await box.ticket(1).settled(60)).state is OpState.DELIVERED
    assert await box.counts() == Counts(delivered=1)
