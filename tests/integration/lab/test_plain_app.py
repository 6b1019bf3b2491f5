from __future__ import annotations

import asyncio
import email.utils
import subprocess
import sys
import time

import httpx2
import pytest

from outlast.lab import plain_app
from outlast.lab.ledger import Ledger, read_ledger
from outlast.lab.observer import observe
from outlast.lab.plain_app import PlainApp, retry_after
from outlast.lab.workload import Read, Write


def play(tmp_path, answers, action):
    """Do one action against a list of answers (the last one repeats), and return ledger and number of tries."""
    tries = []

    def answer(request):
        tries.append(request)
        outcome = answers[min(len(tries), len(answers)) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        status, headers, body = outcome
        return httpx2.Response(status, headers=headers, text=body)

    async def main():
        transport = httpx2.MockTransport(answer)
        with Ledger(tmp_path / "plain.jsonl") as ledger:
            async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
                await PlainApp(client, ledger).act(action)

    asyncio.run(main())
    return read_ledger(tmp_path / "plain.jsonl"), len(tries)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Back off in milliseconds."""
    monkeypatch.setattr(plain_app, "FIRST_BACKOFF", 0.001)


OK = (200, {}, '{"write": "w", "text": ""}')
ERROR = (503, {}, "")
DOWN = httpx2.ConnectError("down")


@pytest.mark.parametrize(
    ("answers", "tries", "answered", "shown"),
    [
        pytest.param([OK], 1, True, "w", id="at-once"),
        pytest.param([DOWN, ERROR, (429, {"retry-after": "0"}, ""), OK], 4, True, "w", id="at-the-last-try"),
        pytest.param([ERROR], 4, False, None, id="errors"),
        pytest.param([DOWN], 4, False, None, id="no-connection"),
        pytest.param([(404, {}, "")], 1, True, None, id="known-not-to-exist"),
        pytest.param([(400, {}, "")], 1, False, None, id="not-retried"),
        pytest.param([(200, {}, "garbage")], 1, False, None, id="garbage"),
    ],
)
def test_reads(tmp_path, answers, tries, answered, shown):
    """A read is tried four times in all, and its ledger line says what came of it."""
    (entry,), tried = play(tmp_path, answers, Read(0, "n0000"))

    assert (tried, entry["answered"], entry["write"]) == (tries, answered, shown)
    assert (entry["error"] is None) is answered


@pytest.mark.parametrize(
    ("answers", "tries", "kind"),
    [
        pytest.param([(201, {}, "")], 1, "ack", id="at-once"),
        pytest.param([ERROR, DOWN, DOWN, (200, {}, "")], 4, "ack", id="at-the-last-try"),
        pytest.param([DOWN], 4, "refused", id="no-connection"),
        pytest.param([(412, {}, "")], 1, "refused", id="not-retried"),
    ],
)
def test_writes(tmp_path, answers, tries, kind):
    """A write is acknowledged on 2xx, refused when the last try has failed."""
    (asked, told), tried = play(tmp_path, answers, Write(0, "own-0", "w-0", "text"))

    assert (tried, asked["kind"], told["kind"], told["write"]) == (tries, "ask", kind, "w-0")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0),
        (email.utils.formatdate(1030, usegmt=True), 30.0),
        ("soon", 0.0),
        (None, 0.0),
        (email.utils.formatdate(900, usegmt=True), 0.0),
    ],
)
def test_retry_after(header, expected):
    """Seconds and dates are honoured, anything else is no wish."""
    response = httpx2.Response(429, headers={} if header is None else {"retry-after": header})

    assert retry_after(response, 1000.0) == expected


def test_the_process_plays_its_workload(run, tmp_path):
    """Against a healthy API everything is answered and delivered once, and what was due before is skipped."""
    api = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--notes", 30, "--neighbour-every", 0.2)
    command = [sys.executable, "-m", "outlast.lab.plain_app", "--api", f"http://127.0.0.1:{api.port}", "--notes", "30"]
    epoch = time.time() - 1.0
    command += ["--ledger", str(tmp_path / "p.jsonl"), "--seed", "1", "--seconds", "4", "--epoch", str(epoch)]
    subprocess.run(command, check=True, timeout=150)

    (counts,) = observe(tmp_path / "n.db", [tmp_path / "p.jsonl"], epoch)
    total = counts["reads"]["total"] + counts["first_reads"]["total"]
    assert counts["reads"]["answered"] + counts["first_reads"]["answered"] == total
    assert 5 <= total <= 75
    assert counts["writes"]["delivered"] == counts["writes"]["asked"] >= 1
    assert (counts["writes"]["lost"], counts["writes"]["doubled"], counts["wrong_reads"]) == (0, 0, [])


@pytest.mark.parametrize("plant", ["lost", "doubled"])
def test_the_observer_sees_what_was_planted(run, tmp_path, plant):
    """A planted bug of the API shows up in the count of a real run."""
    api = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--notes", 30, "--plant", plant)
    command = [sys.executable, "-m", "outlast.lab.plain_app", "--api", f"http://127.0.0.1:{api.port}", "--notes", "30"]
    command += ["--ledger", str(tmp_path / "p.jsonl"), "--seed", "1", "--seconds", "4"]
    command += ["--epoch", str(time.time() + 2.0)]  # as long as it may take to start
    subprocess.run(command, check=True, timeout=150)

    (counts,) = observe(tmp_path / "n.db", [tmp_path / "p.jsonl"], time.time())
    assert {name: counts["writes"][name] for name in ("lost", "doubled")} == {"lost": 0, "doubled": 0} | {plant: 1}


def test_a_killed_database_can_be_observed(run, tmp_path):
    """The observer reads a database whose server was killed, too."""
    api = run("outlast.lab.notes_api", "--db", tmp_path / "n.db", "--notes", 1)
    api.popen.kill()
    api.popen.wait(5)
    (tmp_path / "p.jsonl").touch()

    (counts,) = observe(tmp_path / "n.db", [tmp_path / "p.jsonl"], 0.0)
    assert counts["writes"]["asked"] == 0
