"""What `outlast push` delivers to real servers."""

import json

import pytest


def test_json_lines_arrive_once(push, notes, lines):
    """Every record is there once; running the same command again sends nothing at all."""
    path = lines(700)  # more than one commit of the queue

    first = push(path, "--to", notes.url, "--create", "--json")
    again = push(path, "--to", notes.url, "--create", "--json")

    assert (first.code, first.err) == (0, "")
    assert sorted(notes.effects()) == sorted((f"n{i}", f"w{i}") for i in range(700))
    assert notes.stored()["n7"] == {"id": "n7", "write": "w7", "text": "hello"}
    assert (again.code, again.receipt["delivered"]) == (0, 700)
    assert again.receipt["this_run"] | {"seconds": 0} == {
        "queued": 0, "already_queued": 700, "superseded": 0, "delivered": 0, "requests": 0, "seconds": 0,
    }  # fmt: skip


def test_json_has_the_documented_shape(push, notes, lines):
    """--json prints one object and nothing else on standard output."""
    done = push(lines(2), "--to", notes.url, "--create", "--json")

    assert len(done.out.splitlines()) == 1
    assert list(done.receipt) == [
        "exit_code", "exit", "message", "delivered", "waiting", "conflicting", "dead", "this_run", "reasons",
        "guarantee", "origin", "outbox",
    ]  # fmt: skip
    assert done.receipt["exit"] == "delivered"


def test_csv_and_receipt_for_people(push, notes, tmp_path):
    """CSV works, and without --json the receipt is for people."""
    path = tmp_path / "in.csv"
    path.write_text("id,write,text\na,wa,x\nb,wb,y\n")

    done = push(path, "--to", notes.url, "--quiet")

    assert (done.code, done.err) == (0, "")
    assert "delivered            2" in done.out
    assert "Guarantee: the same content may be sent twice, which changes nothing." in done.out
    assert f"Outbox: {tmp_path / 'in.outbox'}" in done.out
    assert sorted(notes.effects()) == [("a", "wa"), ("b", "wb")]


def test_standard_input(push, notes, tmp_path):
    """`-` reads standard input; its outbox is push.outbox in the present folder."""
    text = json.dumps({"id": "a", "write": "w", "text": "x"})

    done = push("-", "--to", notes.url, "--json", text=text, cwd=tmp_path)

    assert (done.code, done.receipt["outbox"]) == (0, "push.outbox")
    assert notes.effects() == [("a", "w")]


def test_nothing_to_do_is_no_mistake(push, tmp_path):
    """An empty export ends well, even where no server is."""
    (tmp_path / "in.jsonl").touch()

    done = push(tmp_path / "in.jsonl", "--to", "http://127.0.0.1:9/{id}", "--json")

    assert (done.code, done.receipt["delivered"]) == (0, 0)


def test_what_exists_is_settled_by_reading_back(push, notes, lines):
    """Of what exists before, equal content counts as delivered and other content is a conflict that is left alone."""
    push(lines(4, name="old.jsonl"), "--to", notes.url, "--create")
    path = lines(6)
    path.write_text(path.read_text().replace('"w1", "text": "hello"', '"w1", "text": "other"'))

    done = push(path, "--to", notes.url, "--create", "--json")

    assert done.code == 7
    assert (done.receipt["delivered"], done.receipt["conflicting"]) == (5, 1)
    (reason,) = done.receipt["reasons"]
    assert (reason["state"], reason["count"], reason["examples"]) == ("conflict", 1, ["n1"])
    assert notes.stored()["n1"]["text"] == "hello"
    assert len(notes.effects()) == 6


def test_edited_record_takes_the_place_of_its_conflict(push, notes, lines):
    """Correcting a record and running again ends well; so does editing back and forth."""
    push(lines(1, name="old.jsonl"), "--to", notes.url, "--create")
    path = lines(1, "other")
    options = ("--to", notes.url, "--json")
    assert push(path, *options, "--create").code == 7

    codes = [push(lines(1, text), *options).code for text in ("hello", "second", "hello")]
    done = push(path, *options)

    assert codes == [0, 0, 0]
    assert (done.code, done.receipt["conflicting"], done.receipt["this_run"]["requests"]) == (0, 0, 0)
    assert notes.stored()["n0"]["text"] == "hello"


def test_replay_sends_the_undeliverable_again(push, server, lines):
    """--replay queues conflicting and dead records again, once the cause is gone; without FILE as well."""
    server.answers = [(422, {}, b'{"detail": "no such folder"}')]
    path = lines(3)
    first = push(path, "--to", f"{server.url}/{{id}}", "--json")
    server.answers = [(201, {}, b"")]

    idle = push(path, "--to", f"{server.url}/{{id}}", "--json")
    done = push("--outbox", path.with_suffix(".outbox"), "--replay", "--json")

    assert (first.code, first.receipt["dead"]) == (7, 3)
    assert first.receipt["reasons"][0]["reason"] == "422 no such folder"
    assert (idle.code, idle.receipt["this_run"]["requests"]) == (7, 0)
    assert (done.code, done.receipt["delivered"], done.receipt["dead"]) == (0, 3, 0)


def test_delete_of_what_is_gone_is_delivered(push, notes, lines):
    """DELETE sends no body, and a 404 is as good as a 204."""
    push(lines(2, name="old.jsonl"), "--to", notes.url)

    done = push(lines(4), "--to", notes.url, "--method", "DELETE", "--json")

    assert (done.code, done.receipt["delivered"]) == (0, 4)
    assert notes.stored() == {}


def test_post_keeps_its_key(push, server, tmp_path):
    """A message whose answer was lost goes again under the same key, and every message has a key of its own."""
    server.answers = [None, (201, {}, b"")]
    path = tmp_path / "in.jsonl"
    path.write_text('{"x": 1}\n{"x": 1}\n')

    done = push(path, "--to", f"{server.url}/inbox", "--method", "POST", "--idempotency-header", "Idempotency-Key",
                "--concurrency", "1", "--json")  # fmt: skip

    keys = [headers["Idempotency-Key"] for _, _, headers, _ in server.seen]
    assert (done.code, done.receipt["delivered"]) == (0, 2)
    assert (
        done.receipt["guarantee"] == "each record takes effect once, if the server honours the key in Idempotency-Key"
    )
    assert len(keys) == 3
    assert len(set(keys)) == 2
    assert {(method, target, body) for method, target, _, body in server.seen} == {("POST", "/inbox", b'{"x": 1}')}


def test_what_a_server_takes_over_is_asked_about(push, server, lines):
    """A 202 that says where to ask was a conflict: a message cannot be read back, and a note is not there yet."""
    server.answers = [(202, {"Location": "/jobs/7"}, b""), (200, {}, b'{"status": "done"}')]

    done = push(lines(1), "--to", f"{server.url}/inbox", "--method", "POST", "--at-least-once", "--json")

    assert (done.code, done.receipt["delivered"]) == (0, 1)
    assert [request[:2] for request in server.seen] == [("POST", "/inbox"), ("GET", "/jobs/7")]


def test_at_least_once_sends_no_key(push, server, lines):
    """--at-least-once sends no header that nobody asked for, and the receipt says what may happen."""
    done = push(lines(2), "--to", f"{server.url}/{{id}}", "--method", "PATCH", "--at-least-once", "--json")

    assert done.code == 0
    assert "may be doubled" in done.receipt["guarantee"]
    assert {method for method, _, _, _ in server.seen} == {"PATCH"}
    assert {headers["Content-Type"] for _, _, headers, _ in server.seen} == {"application/merge-patch+json"}
    assert not [name for _, _, headers, _ in server.seen for name in headers if "key" in name.lower()]


def test_record_is_wrapped_and_named(push, server, tmp_path):
    """--wrap nests the record, --id names it in the receipt, and headers go along."""
    server.answers = [(400, {}, b"")]
    path = tmp_path / "in.jsonl"
    path.write_text('{"id": "a/b", "name": "Ann", "n": 1.50}\n')

    done = push(path, "--to", f"{server.url}/x/{{id}}?y=1", "--wrap", "data", "--id", "name", "--header", "X-A: 1",
                "--header", "content-type: application/vnd.api+json", "--json")  # fmt: skip

    (method, target, headers, body), *_ = server.seen
    assert done.code == 7
    assert done.receipt["reasons"][0]["examples"] == ["Ann"]
    assert (method, target, body) == ("PUT", "/x/a%2Fb?y=1", b'{"data":{"id": "a/b", "name": "Ann", "n": 1.50}}')
    assert (headers["X-A"], headers["Content-Type"]) == ("1", "application/vnd.api+json")


def test_rate_is_kept(push, server, lines):
    """--rate spaces requests out, however many may be on the wire at once."""
    done = push(lines(11), "--to", f"{server.url}/{{id}}", "--rate", "20", "--json")

    assert done.code == 0
    assert done.receipt["this_run"]["seconds"] >= 0.5


def test_slow_rate_is_no_silence(push, server, lines):
    """A push that is told to be slow does not take its own pace for a server without answers."""
    done = push(lines(3), "--to", f"{server.url}/{{id}}", "--rate", "1.5", "--patience", "300ms", "--json")

    assert (done.code, done.receipt["delivered"]) == (0, 3)


def test_dry_run_checks_and_touches_nothing(push, server, lines, tmp_path):
    """--dry-run shows the first request and the guarantee; no outbox is made and nothing is sent."""
    path = lines(3)
    options = (path, "--to", f"{server.url}/{{id}}", "--create", "--header", "Authorization: hidden", "--dry-run")

    shown, as_json = push(*options), push(*options, "--json")

    assert (shown.code, as_json.code) == (0, 0)
    assert shown.out.splitlines() == [
        "3 records are well formed; nothing was queued or sent.",
        f"The first request: PUT {server.url}/n0",
        '    {"id": "n0", "write": "w0", "text": "hello"}',
        "Guarantee: each record is created at most once and never overwrites.",
        f"Outbox: {tmp_path / 'in.outbox'}",
    ]
    assert as_json.receipt["records"] == 3
    assert as_json.receipt["header_names"] == ["Authorization"]
    assert "hidden" not in shown.out + as_json.out
    assert (server.seen, list(tmp_path.iterdir())) == ([], [path])


@pytest.mark.parametrize(
    "fault", [{"fault": "status", "code": 503}, {"fault": "drop-answer", "share": 0.2}, {"fault": "refuse"}]
)
def test_outage_is_waited_out(start, finish, notes, proxy, lines, fault):
    """While the server fails nothing is given up, and when it is back everything arrives once."""
    proxy.tell(**fault)
    process = start(lines(60), "--to", f"http://127.0.0.1:{proxy.port}/notes/{{id}}", "--create", "--json")
    with pytest.raises(TimeoutError):
        _wait(process, 1.5)
    proxy.tell(fault="healthy")

    done = finish(process)

    assert (done.code, done.receipt["delivered"]) == (0, 60)
    assert sorted(notes.effects()) == sorted((f"n{i}", f"w{i}") for i in range(60))


def _wait(process, seconds):
    try:
        process.wait(seconds)
    except Exception as error:
        raise TimeoutError from error
