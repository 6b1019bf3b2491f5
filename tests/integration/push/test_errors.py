"""Every mistake and every failure ends with its own code, a message with the remedy, and nothing lost."""

import json
import resource
import socket
import sqlite3
import sys

import pytest

from unmeasured import UNMEASURED

GOOD = '{"id": "a", "write": "w", "text": "x"}\n'
URL = "http://127.0.0.1:9/{id}"
"""Nothing listens there; whoever gets that far fails slowly, and the test with it."""


@pytest.mark.parametrize(
    ("text", "options", "code", "said"),
    [
        pytest.param(GOOD + "{", ("--to", URL), 3, "in.jsonl:2: not JSON", id="broken-json"),
        pytest.param(GOOD + "[]", ("--to", URL), 3, "in.jsonl:2: an object", id="no-object"),
        pytest.param("id,x\n1\n", ("--to", URL, "--format", "csv"), 3, "in.jsonl:2: 1 columns", id="csv-width"),
        pytest.param(GOOD + '{"x": "\udce4"}', ("--to", URL), 3, "in.jsonl:2: byte 0xe4 is not UTF-8", id="encoding"),
        pytest.param(GOOD + '{"x": 1}', ("--to", URL), 3, "in.jsonl:2: the field 'id' is missing", id="missing-field"),
        pytest.param(GOOD + '{"id": ""}', ("--to", URL), 3, "in.jsonl:2: the field 'id' is empty", id="empty-field"),
        pytest.param(GOOD + GOOD, ("--to", URL), 4, "in.jsonl:2: 'a' stands on line 1 already", id="duplicate"),
        pytest.param(GOOD, ("--to", "ftp://host/{id}"), 5, "ftp:// is not supported", id="scheme"),
        pytest.param(GOOD, ("--to", "http://{id}/x"), 5, "fields may not stand in the host", id="host"),
        pytest.param(
            GOOD, ("--to", "http://host/{ide}"), 5, "no record has the field 'ide'; did you mean 'id'?", id="field"
        ),
        pytest.param(GOOD, ("--to", "http://host/"), 5, "all records would go to one address", id="no-field"),
        pytest.param(GOOD, ("--to", URL, "--method", "POST"), 2, "--idempotency-header", id="post"),
        pytest.param(GOOD, ("--to", URL, "--no-such"), 2, "--no-such", id="option"),
    ],
)
def test_mistake_is_found_before_anything_is_queued(push, tmp_path, text, options, code, said):
    """A wrong input or option is said on one screen; no outbox is made and nothing is sent."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    done = push(path, *options)

    assert done.code == code
    assert said in done.err
    assert len(done.err.splitlines()) < 20
    assert (done.out, list(tmp_path.iterdir())) == ("", [path])


def test_error_as_json(push, tmp_path):
    """With --json an error is an object as well."""
    path = tmp_path / "in.jsonl"
    path.write_text(GOOD + GOOD)

    done = push(path, "--to", URL, "--json")

    assert done.receipt["exit_code"] == done.code == 4
    assert done.receipt["exit"] == "duplicate_id"
    assert "line 1" in done.receipt["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.jsonl", "--to", URL), "none.jsonl: No such file"),
        (("none.txt", "--to", URL), "--format"),
        ((), "name the FILE"),
        (("--outbox", "none.outbox"), "no outbox none.outbox"),
    ],
)
def test_missing_files_are_named(push, tmp_path, arguments, said):
    """A file that is not there is a wrong argument."""
    done = push(*arguments, cwd=tmp_path)

    assert done.code == 2
    assert said in done.err


@pytest.fixture
def closed_port():
    """A port on which nothing listens, and which nobody else gets meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_unreachable_server_leaves_everything_saved(push, lines, closed_port):
    """When nobody answers for as long as the patience lasts, all is saved, and the message says what to do."""
    done = push(lines(30), "--to", f"http://127.0.0.1:{closed_port}/{{id}}", "--patience", "1s", "--json")

    assert (done.code, done.receipt["waiting"]) == (6, 30)
    assert "gave no useful answer for 1 s (ConnectError" in done.receipt["message"]
    assert "run the same command again" in done.receipt["message"]


def test_unknown_host_leaves_everything_saved(push, lines):
    """A host that does not exist is an outage like others: it may be the network that is away."""
    done = push(lines(2), "--to", "http://no-such-host.invalid/{id}", "--patience", "500ms", "--json")

    assert (done.code, done.receipt["waiting"]) == (6, 2)


def test_going_on_after_an_outage(push, notes, lines, proxy):
    """What was saved while the server was away is delivered by the next run, with or without FILE."""
    url = f"http://127.0.0.1:{proxy.port}/notes/{{id}}"
    proxy.tell(fault="refuse")
    path = lines(20)
    assert push(path, "--to", url, "--create", "--patience", "500ms").code == 6
    proxy.tell(fault="healthy")

    done = push("--outbox", path.with_suffix(".outbox"), "--json")

    assert (done.code, done.receipt["delivered"]) == (0, 20)
    assert len(notes.effects()) == 20


def test_unreadable_conflict_is_an_outage(push, server, lines):
    """A server that refuses and then cannot be read gives no useful answer, and is not asked for ever."""
    server.answers = [(412, {}, b""), (500, {}, b"")] * 50
    done = push(lines(1), "--to", f"{server.url}/{{id}}", "--create", "--patience", "600ms", "--json")

    assert (done.code, done.receipt["waiting"]) == (6, 1)


def test_refused_credentials_stop_at_once(push, server, lines):
    """401 ends the run without giving anything up; with the right credentials the next one goes on."""
    server.answers = [(401, {}, b"")]
    path = lines(20)
    refused = push(path, "--to", f"{server.url}/{{id}}", "--header", "Authorization: Bearer wrong-token", "--json")
    server.answers = [(200, {}, b"")]

    done = push(path, "--to", f"{server.url}/{{id}}", "--header", "Authorization: Bearer right-token", "--json")

    assert (refused.code, refused.receipt["waiting"], refused.receipt["exit"]) == (12, 20, "credentials_refused")
    assert (done.code, done.receipt["delivered"]) == (0, 20)
    assert server.seen[-1][2]["Authorization"] == "Bearer right-token"


def test_second_deliverer_is_told(push, start, finish, notes, proxy, lines):
    """Two runs on one outbox: the second ends at once with its own code, the first is not disturbed."""
    url = f"http://127.0.0.1:{proxy.port}/notes/{{id}}"
    proxy.tell(fault="latency", seconds=0.5)
    path = lines(16)
    first = start(path, "--to", url, "--create", "--json")
    _until(lambda: len(notes.effects()) > 0)
    proxy.tell(fault="refuse")  # however long the second takes to start, the first is still at it

    second = push(path, "--to", url, "--create", "--json")
    proxy.tell(fault="healthy")

    assert (second.code, second.receipt["exit"]) == (11, "already_running")
    assert "another process delivers" in second.err
    done = finish(first)
    assert (done.code, done.receipt["delivered"]) == (0, 16)
    assert len(notes.effects()) == 16


def _until(condition):
    import time

    end = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def _limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_full_disk_keeps_what_was_queued(push, start, finish, server, lines, rows):
    """When the disk fills while records are queued, the run ends with a remedy; later the same command finishes."""
    path = lines(1500, "x" * 400)

    # Coverage would write into a file of its own, and meet the same limit.
    full = finish(start(path, "--to", f"{server.url}/{{id}}", "--json", preexec_fn=_limit_files, env=UNMEASURED))
    queued = rows(path.with_suffix(".outbox"), "SELECT count(*) FROM op")[0][0]
    done = push(path, "--to", f"{server.url}/{{id}}", "--json")

    assert (full.code, full.receipt["exit"]) == (10, "disk_full")
    assert "no space is left" in full.receipt["message"]
    assert queued % 500 == 0
    assert full.receipt["waiting"] == queued
    assert (done.code, done.receipt["delivered"]) == (0, 1500)
    assert len({target for _, target, _, _ in server.seen}) == len(server.seen) == 1500


def _text(path):
    path.write_text("my diary\n" * 100)


def _foreign(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()


@pytest.mark.parametrize("make", [_text, _foreign])
def test_foreign_file_is_left_alone(push, lines, tmp_path, make):
    """A file that is no outbox is refused and not touched."""
    make(tmp_path / "x.outbox")
    before = (tmp_path / "x.outbox").read_bytes()

    done = push(lines(1), "--to", URL, "--outbox", tmp_path / "x.outbox")

    assert done.code == 8
    assert "name another file" in done.err
    assert (tmp_path / "x.outbox").read_bytes() == before


def test_input_is_never_taken_for_the_outbox(push, lines):
    """Naming the input as the outbox destroys nothing."""
    path = lines(3)
    before = path.read_bytes()

    done = push(path, "--to", URL, "--outbox", path)

    assert (done.code, path.read_bytes()) == (8, before)


@pytest.fixture
def outbox(push, lines, closed_port):
    """An outbox with five waiting writes."""
    path = lines(5)
    assert push(path, "--to", f"http://127.0.0.1:{closed_port}/{{id}}", "--patience", "200ms").code == 6
    return path.with_suffix(".outbox")


def test_newer_outbox_is_left_alone(push, outbox):
    """An outbox of a newer version asks for an upgrade."""
    with sqlite3.connect(outbox) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    done = push("--outbox", outbox)

    assert done.code == 9
    assert "upgrade outlast" in done.err


def test_damaged_outbox_is_left_alone(push, outbox):
    """A damaged outbox is said to be one."""
    size = outbox.stat().st_size
    with outbox.open("r+b") as file:
        file.seek(200)
        file.write(b"\x5a" * (size - 200))

    done = push("--outbox", outbox)

    assert done.code == 8
    assert "damaged" in done.err


def test_outbox_of_another_program_is_not_delivered(push, outbox, rows):
    """Writes of another kind belong to a program that knows what they mean."""
    with sqlite3.connect(outbox) as db:
        db.execute("UPDATE op SET kind = 'note' WHERE seq = 3")
    db.close()

    done = push("--outbox", outbox)

    assert done.code == 8
    assert "belongs to another program: it holds writes of kind note" in done.err
    assert rows(outbox, "SELECT count(*) FROM op") == [(5,)]


def test_outbox_for_another_server_is_not_mixed(push, outbox, lines, server):
    """Credentials for one server never go to another one that the outbox still holds writes for."""
    done = push(
        lines(1, name="more.jsonl"), "--to", f"{server.url}/{{id}}", "--outbox", outbox, "--header", "X-T: secret"
    )

    assert done.code == 2
    assert "holds writes for http://127.0.0.1" in done.err
    assert server.seen == []


def test_message_needs_its_decision_again(push, server, tmp_path, rows):
    """Going on with messages without saying what a repetition may do is refused; the outbox keeps them."""
    path = tmp_path / "in.jsonl"
    path.write_text('{"x": 1}\n')
    server.answers = [(503, {}, b"")]
    post = ("--method", "POST", "--at-least-once", "--patience", "200ms")
    assert push(path, "--to", f"{server.url}/inbox", *post).code == 6

    done = push("--outbox", path.with_suffix(".outbox"))

    assert done.code == 2
    assert "could double it" in done.err
    assert rows(path.with_suffix(".outbox"), "SELECT verb FROM op") == [("post",)]


def test_missing_extra_is_one_line(tmp_path):
    """Where typer is not installed the command says what to install."""
    import subprocess

    code = "import sys; sys.modules['typer'] = None; from outlast.cli import main; main(['push'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "outlast[' in done.stderr


def test_unknown_answers_are_grouped(push, server, lines):
    """Dead records are grouped by reason, with examples, and say how to replay."""
    server.answers = [(400, {"Content-Type": "application/json"}, json.dumps({"detail": "text too short"}).encode())]

    done = push(lines(7), "--to", f"{server.url}/{{id}}", "--quiet")

    assert done.code == 7
    assert "7 dead: 400 text too short\n    n0, n1, n2, ..." in done.out
    assert "--replay" in done.out
