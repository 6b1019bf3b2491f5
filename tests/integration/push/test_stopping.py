"""Stopping a push in every way, and going on after it."""

import fcntl
import signal
import subprocess
import sys
import termios
import time

import pytest


def until(condition):
    """Wait until something holds."""
    end = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def slow(start, notes, proxy, lines):
    """A push of 60 records whose answers take 0.3 s, stopped in its middle."""
    proxy.tell(fault="latency", seconds=0.3)
    arguments = (
        lines(60),
        "--to",
        f"http://127.0.0.1:{proxy.port}/notes/{{id}}",
        "--create",
        "--concurrency",
        "4",
        "--json",
    )
    process = start(*arguments)
    until(lambda: len(notes.effects()) >= 10)
    return process, arguments


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signal_saves_everything(slow, push, finish, notes, proxy, number, code, word):
    """On Ctrl-C the requests on the wire may finish; nothing in flight is sent again, and the next run goes on."""
    process, arguments = slow
    process.send_signal(number)

    stopped = finish(process)
    proxy.tell(fault="healthy")
    done = push(*arguments)

    assert (stopped.code, stopped.receipt["exit"]) == (code, word)
    assert stopped.receipt["message"].startswith("interrupted; ")
    assert "run the same command again to go on" in stopped.receipt["message"]
    assert "stopping: " in stopped.err
    assert stopped.receipt["delivered"] + stopped.receipt["waiting"] == 60
    assert (done.code, done.receipt["delivered"]) == (0, 60)
    # Every request on the wire was let finish, so each record was sent exactly once in all.
    assert stopped.receipt["this_run"]["requests"] + done.receipt["this_run"]["requests"] == 60
    assert sorted(notes.effects()) == sorted((f"n{i}", f"w{i}") for i in range(60))


def test_second_signal_ends_at_once(start, notes, proxy, lines, push):
    """Whoever does not want to wait presses Ctrl-C twice; even then nothing is lost."""
    proxy.tell(fault="black-hole", applied_share=1.0)
    arguments = (
        lines(10),
        "--to",
        f"http://127.0.0.1:{proxy.port}/notes/{{id}}",
        "--create",
        "--json",
        "--call-timeout",
        "55s",
    )
    process = start(*arguments)
    until(lambda: len(notes.effects()) == 8)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("stopping: ")
    process.send_signal(signal.SIGINT)

    code = process.wait(40)  # less than it would wait for an answer
    proxy.tell(fault="healthy")
    done = push(*arguments)

    assert code == 130
    assert (done.code, done.receipt["delivered"]) == (0, 10)
    assert len(notes.effects()) == 10


def test_killed_push_goes_on(slow, push, notes, proxy, rows):
    """After SIGKILL the same command sends only what has no receipt; what was in doubt is settled by reading back."""
    process, arguments = slow
    process.kill()
    process.wait(10)
    receipts = rows(arguments[0].with_suffix(".outbox"), "SELECT count(*) FROM receipt")[0][0]
    proxy.tell(fault="healthy")

    done = push(*arguments)

    assert (done.code, done.receipt["delivered"]) == (0, 60)
    assert done.receipt["this_run"]["queued"] == 0
    assert done.receipt["this_run"]["requests"] == 60 - receipts
    assert sorted(notes.effects()) == sorted((f"n{i}", f"w{i}") for i in range(60))


def test_interrupt_while_reading_queues_nothing(start, finish, tmp_path):
    """Ctrl-C before the end of the input leaves nothing behind."""
    process = start("-", "--to", "http://127.0.0.1:9/{id}", stdin=subprocess.PIPE, cwd=tmp_path, bufsize=1)
    process.stdin.write('{"id": 1}\n')
    until(lambda: _unread(process.stdin) == 0)
    process.send_signal(signal.SIGINT)

    done = finish(process)

    assert (done.code, done.out, list(tmp_path.iterdir())) == (130, "", [])
    assert done.err == "outlast: interrupted; run the same command again\n"


def test_progress_is_told_in_lines(start, finish, proxy, lines):
    """Without a terminal there is a line every few seconds, and it names the trouble."""
    proxy.tell(fault="refuse")
    url = f"http://127.0.0.1:{proxy.port}/notes/{{id}}"

    done = finish(start(lines(5), "--to", url, "--patience", "5.6s"))

    first = done.err.splitlines()[0]
    assert first.startswith("0 delivered, 5 waiting, 0 conflicting, 0 dead | ConnectError")
    assert done.code == 6


def _unread(pipe):
    """Return how many bytes nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)
