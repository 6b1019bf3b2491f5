"""Whatever else reads the file in a process that has it open, SQLite keeps its locks.

Without them another process that ends takes itself for the last one and deletes the log, and what is acknowledged
after that is lost with the process.
"""

import shutil
import subprocess
import sys

import pytest

from delivering import put
from outlast.events import EventBus
from outlast.outbox import SyncOutbox, examine

_SHARED = (510, 0x40000002)
"""The bytes on which every connection holds a shared lock: how many, and from where on."""
_TRY = f"""
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *{_SHARED})
"""


def is_locked(path):
    """Tell whether another process finds the file in use."""
    tried = subprocess.run([sys.executable, "-c", _TRY, path], check=False, capture_output=True, text=True)
    assert tried.returncode == 0 or "BlockingIOError" in tried.stderr
    return tried.returncode != 0


def open_again(path):
    """Open it a second time and close it."""
    SyncOutbox.open(path, bus=EventBus()).close()


@pytest.mark.parametrize("look", [open_again, examine])
def test_a_second_look_at_the_file(tmp_path, look):
    """An outbox that is open stays locked after the same process has looked into its file by another way."""
    path = tmp_path / "app.db"
    with SyncOutbox.open(path, bus=EventBus()):
        before = is_locked(path)

        look(path)

        assert (before, is_locked(path)) == (True, True)
    assert not is_locked(path)


def test_a_log_that_was_looked_through(tmp_path):
    """An outbox stays locked whose log had to be looked through when it was opened, for a crash has cut it off."""
    path = tmp_path / "app.db"
    with SyncOutbox.open(tmp_path / "live.db", bus=EventBus()) as box:
        box.enqueue(put("first"))
        box.enqueue(put("second"))
        for end in ("", "-wal"):
            shutil.copy(f"{tmp_path / 'live.db'}{end}", f"{path}{end}")
    log = path.with_name("app.db-wal")
    content = bytearray(log.read_bytes())
    content[-2000] ^= 1
    log.write_bytes(content)

    with SyncOutbox.open(path, bus=EventBus()) as box:
        assert [status.seq for status in box.list()] == [1]
        assert is_locked(path)
