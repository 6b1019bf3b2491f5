"""A thread that outlived the main one could queue writes, and was told that the outbox is closed when it read."""

import subprocess
import sys

from unmeasured import UNMEASURED

PROGRAM = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from outlast.outbox import SyncOutbox

def work():
    with suppress(RuntimeError):  # which says that the interpreter is ending
        while True:
            pool.submit(int).result()
    box.put("note", "n1", {})
    print(box.counts().ready, flush=True)
    box.close()

pool, box = ThreadPoolExecutor(1), SyncOutbox.open(sys.argv[1])
threading.Thread(target=work).start()
"""


def test_a_thread_may_read_after_the_main_thread_has_ended(tmp_path):
    """The interpreter waits for such a thread, so its outbox works for as long."""
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "app.db")]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False, env=UNMEASURED)

    assert (ended.stdout, ended.stderr) == ("1\n", "")
