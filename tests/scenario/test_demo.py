"""The real command, with its real processes, faults and kill; and the counter-proof that a bug is seen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from outlast.cli._exit import ExitCode
from unmeasured import UNMEASURED

pytestmark = pytest.mark.timeout(600)


class Play:
    """The command in a session of its own, so that each of its processes can be found and none escapes."""

    def __init__(self, folder, *words, environment=UNMEASURED):
        self.folder = folder
        folder.mkdir()
        self.temp = folder / "tmp"
        self.temp.mkdir()
        command = [sys.executable, "-W", "error", "-m", "outlast.cli", "demo", *words]
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            environment = environment | {"TMPDIR": str(self.temp), "COLUMNS": "80"}
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, start_new_session=True)

    def wait(self, within=120.0):
        """Wait for the end and return the exit code."""
        try:
            return self.process.wait(within)
        finally:
            self.close()

    def close(self):
        """Leave nothing behind, whatever happened."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    @property
    def said(self):
        return (self.folder / "err").read_text()

    @property
    def report(self):
        return json.loads((self.folder / "out").read_text().splitlines()[-1])

    def until(self, words, within=100.0):
        """Wait until it has said something."""
        give_up = time.monotonic() + within
        while words not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < give_up, self.said
            time.sleep(0.05)

    def others(self):
        """Return the ids of the processes that it has started and that still run."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
        mine = {int(pid) for pid, session, state in rows if session == str(self.process.pid) and state[0] != "Z"}
        return mine - {self.process.pid}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Play the whole of it once for all that is asked of it."""
    play = Play(tmp_path_factory.mktemp("demo") / "good", "--headless", "--json", environment=os.environ)
    play.code = play.wait(180)
    return play


def test_the_command_keeps_every_promise(played):
    """The command ends with 0 and says why in words for people."""
    assert played.code == ExitCode.DELIVERED, played.said
    assert "every promise was kept" in played.said
    assert "Warning" not in played.said
    assert played.report["verdict"] == {"ok": True, "broken": []}


@pytest.mark.parametrize("side", ["outlast", "plain"])
def test_the_report_has_the_figures_of_both(played, side):
    """Reads of seen keys, first reads and writes are counted for both applications."""
    report = played.report[side]

    for reads in (report["reads"], report["first_reads"]):
        assert {"total", "answered", "stale"} <= reads.keys()
        assert 0 <= reads["stale"] <= reads["answered"] <= reads["total"]
    assert {"acknowledged", "delivered", "lost", "doubled"} <= report["writes"].keys()


def test_outlast_goes_on(played):
    """Nothing is lost or doubled, and the reads of seen keys are answered at more than 20 a second."""
    report = played.report["outlast"]
    reads, writes = report["reads"], report["writes"]

    assert (writes["lost"], writes["doubled"], reads["wrong"]) == (0, 0, 0)
    assert writes["delivered"] == writes["acknowledged"] > 0
    assert reads["answered"] >= 0.999 * reads["total"]
    assert reads["total"] + report["first_reads"]["total"] >= 20 * 60
    assert reads["stale"] > 0


def test_a_plain_client_does_not(played):
    """The same work without outlast leaves reads unanswered and loses or doubles writes: the faults are real."""
    report = played.report["plain"]

    assert report["reads"]["answered"] < 0.95 * report["reads"]["total"]
    assert report["writes"]["lost"] + report["writes"]["doubled"] >= 1


def test_the_kill_met_a_write_on_its_way(played):
    """The application was killed while a write was sealed and had no outcome."""
    assert played.report["kill"]["sealed_and_unsettled"] >= 1
    (note,) = [note for note in played.report["notes"] if "SIGKILL" in note]
    assert re.search(r"with [1-9]\d* writes? sealed and unsettled", note)


def test_the_log_is_readable(played):
    """Without a terminal each phase and each note has one line, no longer than it is, and none comes twice."""
    lines = played.said.splitlines()
    moments = [line for line in lines if re.match(r" *\d+\.\d s  ", line)]

    assert len(moments) == len(set(moments)) == 9
    assert sum("SIGKILL" in line for line in lines) == 1
    assert max(len(line) for line in lines if line.startswith(("│", "┃"))) <= 80


def test_everything_is_cleared_away(played):
    """No process of the play and no temporary file is left."""
    assert played.others() == set()
    assert list(played.temp.iterdir()) == []


def test_a_planted_bug_is_seen(tmp_path):
    """An API that loses a write and one that applies one twice each turn the verdict red, and it names the bug."""
    words = ("--seconds", "12", "--headless", "--json", "--plant")
    plays = {bug: Play(tmp_path / bug, *words, bug) for bug in ("lost", "doubled")}
    codes = {bug: play.wait() for bug, play in plays.items()}

    assert codes == dict.fromkeys(plays, ExitCode.BROKEN_PROMISE)
    lost = plays["lost"].report["outlast"]["writes"]["lost"]  # with those that its conflict holds back
    assert lost >= 1
    assert f"{lost} acknowledged writes are lost" in plays["lost"].report["verdict"]["broken"]
    assert f"broken: {lost} acknowledged writes are lost" in plays["lost"].said
    assert plays["doubled"].report["outlast"]["writes"]["doubled"] == 1
    assert "1 writes took effect twice" in plays["doubled"].report["verdict"]["broken"]
    assert "broken: 1 writes took effect twice" in plays["doubled"].said


def test_ctrl_c_and_sigterm_end_all_of_it(tmp_path):
    """An interrupted play ends at once with a code of its own, and leaves no process and no file behind."""
    words = ("--seconds", "30", "--headless")
    interrupted, terminated = Play(tmp_path / "int", *words), Play(tmp_path / "term", *words)
    with contextlib.closing(interrupted), contextlib.closing(terminated):
        interrupted.until("refused:")
        terminated.until("refused:")
        started = interrupted.others() | terminated.others()
        os.killpg(interrupted.process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
        terminated.process.terminate()  # what a supervisor does
        codes = interrupted.wait(), terminated.wait()

        assert codes == (ExitCode.INTERRUPTED, ExitCode.TERMINATED)
        assert len(started) >= 12
        assert (interrupted.others(), terminated.others()) == (set(), set())
        assert not any(alive(pid) for pid in started)
        assert (list(interrupted.temp.iterdir()), list(terminated.temp.iterdir())) == ([], [])
        assert "interrupted; every process of the play was ended" in interrupted.said
        assert "Traceback" not in interrupted.said + terminated.said


def alive(pid):
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
