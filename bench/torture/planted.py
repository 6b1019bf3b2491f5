"""Plant known faults in copies of the source; each must be caught, by the tests that are named or by the torture.

G1 to G8 are what a published sync engine got wrong.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

ENQUEUE = "outbox/_queries/enqueue.py"
SETTLE = "outbox/_queries/settle.py"
TABLES = "outbox/_queries/tables.py"
LANES = "outbox/_lanes.py"
ENGINE = "engines/op.py"
WRITER = "storage/_writer.py"

KILLS = ("--only", "kills", "--kills", "24", "--store", "sqlite", "--seconds", "120")
LONGEST = 240.0  # seconds; a fault that makes everything hang is to be planted in another way
POWER = ("--only", "power", "--images", "150")


@dataclass(frozen=True)
class Fault:
    """One fault: what it is, how it is planted, and who must catch it.

    Args:
        name: Its number, and a letter where it has several forms.
        what: What goes wrong.
        changes: For each: the module, the text that stands there once, and what it becomes.
        tests: Test files.
        torture: The arguments with which the torture must fail, or None.
    """

    name: str
    what: str
    changes: tuple
    tests: tuple = ()
    torture: tuple | None = None


FAULTS = (
    Fault(
        "G1", "A write is merged into one that is on the wire",
        (("outbox/_queries/fold.py", "sealed=op.seq not in free, awaited", "sealed=False, awaited"),),
        ("tests/integration/outbox/test_folding.py",),
    ),
    Fault(
        "G2", "A decision changes the request and keeps its key",
        (("outbox/_queries/decide.py", "changed = not same_body or if_match != found[1]", "changed = False"),),
        ("tests/issues/test_sync_key_is_kept_when_the_body_changes.py",),
    ),
    Fault(
        "G3a", "A takeover is not atomic: everybody who finds the lease stale takes it under the same fence",
        (("outbox/_lease.py", "        if isinstance(decision, Take):\n            db.execute(",
          "        if isinstance(decision, Take):\n            row or db.execute("),),
        ("tests/issues/test_sync_takeover_is_not_atomic.py",),
    ),
    Fault(
        "G3b", "The former holder's writes are not refused, and it never learns that its lease is gone",
        ((SETTLE, "    if current != fence:\n", "    if current is None:\n"),
         (SETTLE, "        if len(seqs) != sum(", "        if len(seqs) < sum("),
         ("outbox/_lease.py", "        if not changed:\n", "        if changed is None:\n")),
        ("tests/issues/test_sync_takeover_is_not_atomic.py",),
    ),
    Fault(
        "G4", "A merge knows no base, so what others have changed is overwritten",
        (("sync_engine/_reconciler.py", "disputed.answer, base, op.rounds)",
          "disputed.answer, theirs.content if theirs else base, op.rounds)"),),
        ("tests/integration/outbox/test_reconciling.py",),
    ),
    Fault(
        "G5", "Attempts without an answer are counted, and after five the write is given up",
        ((ENGINE, "            return Postpone(wait, reason)\n        case Busy(",
          "            return Postpone(wait, reason) if attempt < 5 else Die(reason)\n        case Busy("),),
        ("tests/issues/test_sync_being_offline_spends_attempts.py",),
    ),
    Fault(
        "G6a", "What is queued together is committed one by one",
        ((ENQUEUE, "    for count in chunks(len(rows)):\n",
          "    for count in [1] * len(rows):\n"
          '        if places:\n            yield Ask("COMMIT")\n            yield Ask("BEGIN IMMEDIATE")\n'),),
        ("tests/issues/test_sync_queue_and_its_order_are_two_writes.py",), KILLS,
    ),
    Fault(
        "G6b", "The order comes from the wall clock",
        (("outbox/_queries/look.py", '{NEWCOMER} ORDER BY seq"', '{NEWCOMER} ORDER BY created"'),),
        ("tests/issues/test_sync_queue_and_its_order_are_two_writes.py",),
    ),
    Fault(
        "G7", "One write that waits stops every lane",
        ((LANES, "        taken: list[int] = []\n        while self._ready",
          "        taken: list[int] = []\n        if self._waits:\n            return taken\n        while self._ready"),),
        ("tests/issues/test_sync_one_waiting_write_stalls_all.py",),
    ),
    Fault(
        "G8", "A conflict is tried again at once and without end",
        ((ENGINE, '        case Found():\n            return Conflict(f"{reason}; the server holds other content")',
          "        case Found():\n            return Postpone(0.0, reason)"),
         (ENGINE, '    return Conflict(f"{reason}; the entity is gone on the server")', "    return Postpone(0.0, reason)")),
        ("tests/issues/test_sync_conflicts_are_tried_for_ever.py",), KILLS,
    ),
    Fault(
        "P4", "A dead letter is sent again unchanged under a new key, though an attempt before may have taken effect",
        (("outbox/_queries/decide.py", "changed = not same_body or if_match != found[1]", "changed = True"),),
        ("tests/issues/test_replay_doubles_what_was_in_doubt.py",),
    ),
    Fault(
        "P1", "A write is acknowledged before its COMMIT",
        ((WRITER, "            results = self._transact(lambda db: _run_jobs(db, group), _patience(group, count, moment))\n",
          "            results = self._transact(lambda db: _tell_early(group, _run_jobs(db, group)), _MOMENT)\n"),
         (WRITER, "        for entry in group:\n            end = ", "        for entry in ():\n            end = "),
         (WRITER, "def _halves(", "def _tell_early(group, results):\n    left = iter(results)\n    for entry in group:\n"
          "        entry.land([next(left) for _ in entry.items])\n    return results\n\n\ndef _halves(")),
        (), POWER,
    ),
    Fault(
        "P2", "Commits are not synced, whatever was asked for",
        (("storage/_sqlite.py", '_SYNCHRONOUS = {"power": 2,', '_SYNCHRONOUS = {"power": 1,'),),
        (), POWER,
    ),
    Fault(
        "P3", "A delivered write stays in the queue when its receipt is written, and is removed later",
        ((SETTLE, "    _remove(db, [row[0] for row in rows])\n",
          '    for row in rows:\n        db.execute("DELETE FROM $seal WHERE seq = ?", (row[0],))\n'),),
        (), KILLS,
    ),
)  # fmt: skip


def plant(fault, folder):
    """Make a copy of the source with a fault in it."""
    source = Path(folder) / fault.name
    shutil.copytree(ROOT / "src", source)
    for module, old, new in fault.changes:
        path = source / "outlast" / module
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{fault.name}: the text to replace stands {text.count(old)} times in {module}")
        path.write_text(text.replace(old, new))
    return source


def catch(fault, folder):
    """Return who caught a fault: `tests`, `torture`, or both."""
    source = plant(fault, folder)
    caught = []
    if fault.tests and run(source, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *fault.tests):
        caught.append("tests")
    if fault.torture and run(source, HERE, *fault.torture, "--no-write"):
        caught.append("torture")
    return caught


def run(source, *arguments):
    """Run a command against a source and tell whether it failed in its own way, which is not to go on for ever."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            (sys.executable, *map(str, arguments)), env=environment, cwd=ROOT, check=False, timeout=LONGEST,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 1


def play(say=None):
    """Plant every fault; return who caught each, and who failed without any."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        control = Fault(
            "none", "Nothing is planted", (), tuple(sorted({test for f in FAULTS for test in f.tests})), KILLS
        )
        jobs = {fault.name: pool.submit(catch, fault, folder) for fault in (*FAULTS, control)}
        found = {}
        for name, job in jobs.items():
            found[name] = job.result()
            if say:
                say(f"planted: {name} caught by {' and '.join(found[name]) or 'nobody'}")
    return found


def good(found):
    """Tell whether every fault was caught by all who are named for it, and the untouched source by nobody."""
    expected = {fault.name: [*["tests"] * bool(fault.tests), *["torture"] * bool(fault.torture)] for fault in FAULTS}
    return found == {**expected, "none": []}
