import subprocess
import sys

import pytest

from outlast.errors import MissingExtraError
from outlast.storage import FileLock, boot_id, require
from outlast.storage import _host as host
from outlast.testing import ManualClock

HOLD = """
import sys
from outlast.storage import FileLock
lock = FileLock(sys.argv[1])
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


def test_lock_excludes_others(tmp_path):
    """Of two locks on one file one is held; letting go gives it to the other."""
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")

    assert (first.try_acquire(), second.try_acquire()) == (True, False)
    assert (first.held, second.held) == (True, False)
    assert first.try_acquire()
    first.release()
    first.release()
    assert second.try_acquire()
    second.release()


def test_lock_dies_with_its_process(tmp_path):
    """However a process ends, its lock is free."""
    lock = FileLock(tmp_path / "lock")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "True\n"
    assert not lock.try_acquire()

    holder.kill()
    holder.communicate()

    assert lock.try_acquire()
    lock.release()


def test_boot_id_stays_the_same():
    """The id of a boot does not change while it lasts."""
    assert boot_id() == boot_id()
    assert boot_id()


def test_boot_id_without_a_system_that_has_one(tmp_path, monkeypatch):
    """Where the system has none, the id stands for the process, so nothing stored by another counts as recent."""
    monkeypatch.setattr(host, "_BOOT_ID", tmp_path / "missing")
    host.boot_id.cache_clear()

    found = host.boot_id()
    host.boot_id.cache_clear()

    assert found.startswith("process-")


def test_missing_extra_says_what_to_install():
    """A driver that is not installed is named together with its extra."""
    with pytest.raises(MissingExtraError, match=r'tea needs no_such_driver.*pip install "outlast\[tea\]"'):
        require("no_such_driver", extra="tea", purpose="tea")


def test_broken_driver_is_not_called_missing(tmp_path, monkeypatch):
    """A driver that is there but lacks something of its own raises its own error."""
    (tmp_path / "half_driver.py").write_text("import no_such_part")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        require("half_driver", extra="tea", purpose="tea")


def test_gate_lets_one_through_at_a_time(tmp_path):
    """Who comes meanwhile waits; it goes on without a turn that takes too long, and gets a free one at once."""
    clock = ManualClock()
    first, second = (host.FileGate(tmp_path / "gate", patience=1.0, clock=clock) for _ in range(2))
    begun = clock.now()
    with first:
        with second:
            waited = clock.now() - begun
        with first:
            pass
    again = clock.now()
    with second:
        at_once = clock.now() - again

    assert (waited, at_once) == (pytest.approx(1.0, abs=0.01), 0.0)
    first.close()
    second.close()


def test_gate_waits_for_the_turn_to_end(tmp_path):
    """It takes the turn as soon as the other has left, long before its patience ends."""
    first, begun = host.FileGate(tmp_path / "gate"), []

    class Leaving(ManualClock):
        def sleep(self, seconds):
            begun.append(seconds)
            if len(begun) == 3:
                first.__exit__()
            super().sleep(seconds)

    second = host.FileGate(tmp_path / "gate", clock=Leaving())
    first.__enter__()
    with second:
        assert len(begun) == 3
        assert not first.try_enter()
    first.close()
    second.close()
