from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time

import httpx2
import pytest


def client(port):
    """Talk to a port on loopback."""
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=5.0, trust_env=False)


def effects(path):
    """Return note, write id and verb of all effects, as a stranger reads them while the API runs."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute("SELECT note, write_id, verb FROM effects ORDER BY seq").fetchall()


@pytest.fixture
def http(api):
    """Talk to the shared API."""
    with client(api.port) as http:
        yield http


def test_get_knows_tags_and_errors(http):
    """A note is 200 with a strong tag, 304 to who has it, and a problem when there is none."""
    found = http.get("/notes/n0000")
    known = http.get("/notes/n0000", headers={"if-none-match": f'"0", W/{found.headers["etag"]}'})
    missing = http.get("/notes/none")

    assert (found.status_code, found.headers["etag"], found.json()["write"]) == (200, '"1"', "seed-n0000")
    assert (known.status_code, known.headers["etag"], known.content) == (304, '"1"', b"")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert missing.json() == {"type": "about:blank", "title": "Not Found", "status": 404} | {
        "detail": "there is no note none"
    }


def test_put_stores_what_it_got(http, notes_db):
    """The stored note is given back byte for byte, under the tag that the PUT named."""
    body = '{"write":  "w-put", "text": "é", "more": [1]}'.encode()
    created = http.put("/notes/put", content=body, headers={"if-none-match": "*"})
    refused = http.put("/notes/put", content=body, headers={"if-none-match": "*"})
    read = http.get("/notes/put")

    assert (created.status_code, refused.status_code) == (201, 412)
    assert refused.headers["content-type"] == "application/problem+json"
    assert (read.content, read.headers["etag"]) == (body, created.headers["etag"])
    assert [row for row in effects(notes_db) if row[0] == "put"] == [("put", "w-put", "PUT")]


def test_replay_over_the_wire(http, notes_db):
    """A repeat of a key says that it is one, and is not applied."""
    answers = [
        http.put("/notes/replay", json={"write": "w-replay", "text": ""}, headers={"idempotency-key": "key-1"})
        for _ in range(2)
    ]
    reused = http.put("/notes/replay", json={"write": "w-other", "text": ""}, headers={"idempotency-key": "key-1"})

    assert [answer.status_code for answer in answers] == [201, 201]
    assert ["idempotent-replayed" in answer.headers for answer in answers] == [False, True]
    assert answers[0].content == answers[1].content
    assert reused.status_code == 422
    assert [row for row in effects(notes_db) if row[0] == "replay"] == [("replay", "w-replay", "PUT")]


def test_delete(http, notes_db):
    """A deletion is an effect under the name of its key."""
    http.put("/notes/delete", json={"write": "w-delete", "text": ""})
    refused = http.delete("/notes/delete", headers={"if-match": '"7"'})
    deleted = http.delete("/notes/delete", headers={"if-match": '"1"', "idempotency-key": "key-2"})

    assert (refused.status_code, deleted.status_code, http.get("/notes/delete").status_code) == (412, 204, 404)
    assert [row for row in effects(notes_db) if row[0] == "delete"][-1] == ("delete", "key-2", "DELETE")


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b'{"write": 1, "text": ""}', b'{"write": "w"}', b"\xff"])
def test_bad_bodies_are_refused(http, body):
    """What is not a note with a write id is a problem, and is not stored."""
    answer = http.put("/notes/bad", content=body)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert http.get("/notes/bad").status_code == 404


def test_what_the_router_refuses_is_a_problem_too(http):
    """Unknown paths and methods get problem+json like everything else."""
    for answer in (http.get("/nothing"), http.post("/notes/n0000")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.status_code in {404, 405}


def test_a_neighbour_edits_in_turn(run, tmp_path):
    """Another client's edits go round the seeded notes."""
    process = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--notes", 2, "--neighbour-every", 0.05)
    deadline = time.monotonic() + 50
    while len(rows := effects(tmp_path / "n.db")) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)

    assert rows[2:5] == [(note, f"neighbour-{k}", "PUT") for k, note in enumerate(["n0000", "n0001", "n0000"])]
    assert process.end() == -signal.SIGTERM


def test_what_was_answered_outlives_a_kill(run, tmp_path):
    """After a SIGKILL, note, effect and remembered answer are all there."""
    process = run("outlast.lab.notes_api", "--db", tmp_path / "n.db")
    with client(process.port) as http:
        http.put("/notes/a", json={"write": "w-1", "text": ""}, headers={"idempotency-key": "k"})
    process.end(signal.SIGKILL)

    process = run("outlast.lab.notes_api", "--db", tmp_path / "n.db")
    with client(process.port) as http:
        again = http.put("/notes/a", json={"write": "w-1", "text": ""}, headers={"idempotency-key": "k"})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert effects(tmp_path / "n.db") == [("a", "w-1", "PUT")]


@pytest.mark.parametrize(("plant", "expected"), [("lost", 0), ("doubled", 2)])
def test_plants_strike_the_fifth_put(run, tmp_path, plant, expected):
    """All six PUTs are answered 201, and the fifth has no effect, or two."""
    process = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--plant", plant)
    with client(process.port) as http:
        answers = [http.put(f"/notes/a{n}", json={"write": f"w-{n}", "text": ""}) for n in range(6)]

    assert [answer.status_code for answer in answers] == [201] * 6
    writes = [write for _, write, _ in effects(tmp_path / "n.db")]
    assert [writes.count(f"w-{n}") for n in range(6)] == [1, 1, 1, 1, expected, 1]


def test_plant_doubles_one_repeat(run, tmp_path):
    """The first repeat of a key is applied again, and answered as a replay."""
    process = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--plant", "doubled")
    with client(process.port) as http:
        answers = [
            http.put("/notes/a", json={"write": "w", "text": ""}, headers={"idempotency-key": "k"}) for _ in range(3)
        ]

    assert [json.loads(answer.content)["write"] for answer in answers] == ["w"] * 3
    assert effects(tmp_path / "n.db") == [("a", "w", "PUT")] * 2


def test_it_ends_with_whoever_started_it(run, tmp_path):
    """An API that watches its standard input does not outlive a parent that was killed."""
    process = run("outlast.lab.notes_api", "--db", tmp_path / "notes.db", "--until-eof")

    process.popen.stdin.close()

    assert process.popen.wait(10) == -signal.SIGTERM
