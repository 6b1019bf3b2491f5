"""Queue and deliver while libfaketime sets the clocks of the processes wrong, forward, back, and still."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import others
from points import Board, Watch

HERE = Path(__file__).resolve().parent
JUMPS = ("+0", "+1h", "-1h", "+10y", "-10y", "@2001-02-03 04:05:06", "+0", "+30d x2", "-30d x0.5")
SYSTEM = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")


def library():
    """Return the library of the system or of the environment of the others, or None."""
    found = [path for pattern in SYSTEM for path in Path("/").glob(pattern[1:])]
    found += others.FOLDER.glob("lib/python*/site-packages/libfaketime/vendor/libfaketime/src/libfaketime.so.1")
    return found[0] if found else None


def start(role, job, library, file):
    """Start a role as a process of its own whose clocks say what a file says."""
    environment = {
        **os.environ, "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        # Monotonic time is left alone, as a change of the real clock leaves it; and waits for it are not bent either.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }  # fmt: skip
    command = (sys.executable, HERE / "clocks.py", role, json.dumps(vars(job)))
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def play(job, folder, library, *, seconds, seed):
    """Run a producer and a runner for a while; return by how much their clocks went wrong at most, in seconds."""
    dice, file, worst = random.Random(seed), Path(folder) / "faketime", 0.0
    file.write_text("+0")
    jobs = [("producer", {"ledger": f"{folder}/one.producer.jsonl", "name": f"{job.world}-1"}),
            ("runner", {"ledger": f"{folder}/one.runner.jsonl", "name": f"{job.world}-2"})]  # fmt: skip
    running = [start(role, type(job)(**{**vars(job), **own}), library, file) for role, own in jobs]
    until = time.monotonic() + seconds
    try:
        for process in running:
            process.stdout.readline()
        while time.monotonic() < until:
            file.write_text(dice.choice(JUMPS))
            time.sleep(0.15)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate(timeout=30)
            worst = max([worst, *(float(line) for line in told.split())])
    return worst


async def wander(role, job):
    """Play a role, and tell in the end how wrong the clock was."""
    from victim import deliver, produce

    print("ready", flush=True)
    begun, worst = time.time() - time.monotonic(), 0.0
    task = asyncio.create_task({"producer": produce, "runner": deliver}[role](job, Watch(Board())))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        while not task.done():
            await asyncio.wait([task], timeout=0.05)
            worst = max(worst, abs(time.time() - time.monotonic() - begun))
        task.result()
    print(worst, flush=True)


if __name__ == "__main__":
    from victim import Job

    asyncio.run(wander(sys.argv[1], Job(**json.loads(sys.argv[2]))))
