"""Servers that are killed in the middle of their work: each key takes effect once, and all hear the same of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("server.py")
POINTS = ("before-work", "after-work", "before-commit", "after-commit")
COME_BACK = {409, 500, 503}
KILLS = 8


class Server:
    """The program that serves, and is killed."""

    def __init__(self, kind, place):
        self.place = place
        command = [sys.executable, "-W", "error", str(PROGRAM), kind, place.address]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["listening"]
        self.children, self.at_work = [], set()
        self.changed = threading.Condition()
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self):
        """Note each child that begins to serve, and that it works."""
        for line in self.process.stdout:
            with self.changed:
                match json.loads(line):
                    case {"serving": child}:
                        self.children.append(child)
                    case {"working": child}:
                        self.at_work.add(child)
                self.changed.notify_all()

    def until(self, condition):
        """Wait for what children say."""
        with self.changed:
            assert self.changed.wait_for(condition, 30)

    def child(self, number):
        """Return the process id of the n-th child, when there is one and it is at work."""
        self.until(lambda: len(self.children) > number and self.children[number] in self.at_work)
        return self.children[number]

    @property
    def kills(self):
        """How many have died."""
        return len(self.children) - 1

    def once(self, key, headers):
        """Send a request once; return status, entity tag and body, or None when there is no whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/write", body=b"x", headers={"Idempotency-Key": key, **headers})
                got = connection.getresponse()
                return got.status, got.getheader("etag"), got.read()
            except (OSError, http.client.HTTPException):
                return None

    def send(self, key, **headers):
        """Send until there is an answer that ends the matter, as an outbox does; return entity tag and body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        while True:
            got = self.once(key, named)
            if got is not None and got[0] not in COME_BACK:
                assert got[0] == 201, got
                return got[1:]
            named.pop("x-die", None)  # dying once is enough
            time.sleep(0.01)

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.listener.join(20)
        self.process.stdout.close()


@pytest.fixture(params=["asgi", "wsgi"])
def server(request, place):
    """A real server of each kind, on each database."""
    server = Server(request.param, place)
    yield server
    server.close()


def judge(place, heard):
    """Compare what the database holds with what clients heard; this shares no code with the receiver."""
    runs = {}
    for key, run in place.rows("SELECT key, worker FROM effects"):
        runs.setdefault(key, []).append(run)
    assert {key: len(found) for key, found in runs.items()} == dict.fromkeys(heard, 1)
    for key, answers in heard.items():
        (run,) = runs[key]
        assert set(answers) == {(f'"{run}"', run.encode())}


@pytest.mark.timeout(300)
def test_a_kill_at_any_point_leaves_one_effect_or_none(server):
    """Dying before the work, after it, before the COMMIT and after it: the repeat gets the one and only answer."""
    heard = {}
    for point in POINTS:
        heard[point] = [server.send(point, x_die=point)]
        server.until(lambda: server.kills == len(heard))  # it did die
        heard[point].append(server.send(point))

    assert server.kills == len(heard) == 4
    judge(server.place, heard)


@pytest.mark.timeout(300)
def test_duplicates_from_many_clients_while_the_server_is_killed(server):
    """Three clients send each key at the same time, to servers that live for a moment each."""
    chance, over, heard = random.Random(7), threading.Event(), {}

    def client(group):
        for number in itertools.count():
            if over.is_set():
                return
            key = f"{group}-{number}"
            heard.setdefault(key, []).append(server.send(key))

    def killer():
        try:
            for number in range(KILLS):
                child = server.child(number)
                time.sleep(chance.uniform(0.0, 0.03))
                os.kill(child, signal.SIGKILL)
        finally:
            over.set()

    with ThreadPoolExecutor(10) as threads:
        jobs = [threads.submit(client, group) for group in "abc" for _ in range(3)]
        threads.submit(killer).result(60)
        for job in jobs:
            job.result(60)

    server.until(lambda: server.kills == KILLS)
    judge(server.place, heard)
