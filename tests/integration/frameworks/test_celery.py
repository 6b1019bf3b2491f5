"""An outbox in the tasks of Celery: real workers that were forked, and another process that delivers."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys

from delivering import until
from outlast.events import EventBus
from outlast.outbox import SyncOutbox
from programs import FRAMEWORKS, delivered
from unmeasured import UNMEASURED

TASKS = 12


@contextlib.contextmanager
def workers(path, folder):
    """Run the application and its workers in a session of their own, and kill all of them at the end."""
    folder.mkdir()
    command = [sys.executable, str(FRAMEWORKS / "celery_notes.py"), str(path), str(folder), str(TASKS)]
    with subprocess.Popen(command, env=UNMEASURED, start_new_session=True) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_tasks_of_celery_queue_from_every_process(path, tmp_path):
    """Each write is there once, although its task was run twice; an outbox from before the fork refuses by name."""
    with workers(path, tmp_path / "broker") as process, SyncOutbox.open(path, bus=EventBus()) as box:
        asyncio.run(until(lambda: box.counts().open > TASKS or process.poll() is not None, 150))
    seen = dict(asyncio.run(delivered(path)))  # what was queued has survived the kill of those who queued it

    refusal = json.loads(seen.pop("r0"))
    assert seen == {f"n{n}": json.dumps({"n": n}, separators=(",", ":")).encode() for n in range(TASKS)}
    assert "was opened before a fork; open it again in the child process" in refusal["said"]
