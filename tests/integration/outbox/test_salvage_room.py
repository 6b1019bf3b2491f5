"""What a salvage takes: little memory whatever it finds, and nothing that is left over when it ends before its time."""

import signal
import subprocess
import sys
import tracemalloc

import pytest

from damaged import PAGE, make, root_of
from delivering import put
from outlast.events import EventBus
from outlast.outbox import SyncOutbox, salvage
from outlast.outbox._doctor.filling import Filling
from outlast.storage import SalvageReader
from unmeasured import UNMEASURED

_CUT_SHORT = """
import resource, sys
from outlast.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
main(["outbox", "doctor", sys.argv[1], "--salvage", sys.argv[2]])
"""


@pytest.fixture
def hurt(tmp_path):
    """Return a file of which the root of the table of waiting writes is wiped out."""
    path = tmp_path / "old" / "app.db"
    path.parent.mkdir()
    wipe(path, make(path))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return such a file of many writes."""
    path = tmp_path_factory.mktemp("large") / "app.db"
    with SyncOutbox.open(path, durability="process", bus=EventBus()) as box:
        box.enqueue(*[put(f"n{number}", b'"%s"' % (b"y" * 3500)) for number in range(1500)])
    wipe(path, path.read_bytes())
    return path


def wipe(path, content):
    """Wipe out the root of the waiting writes."""
    begin = (root_of(path, "op") - 1) * PAGE
    path.write_bytes(content[:begin] + bytes(PAGE) + content[begin + PAGE :])


def test_a_large_file_needs_no_memory(large, tmp_path, monkeypatch):
    """What is found lies in a file, and only some of it in memory."""
    monkeypatch.setattr(sys.modules[Filling.__module__], "_AT_ONCE", 50)

    tracemalloc.start()
    try:
        report = salvage(large, tmp_path / "new.db")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (report.read["op"], report.whole) == (1500, True)
    assert peak < large.stat().st_size / 3


@pytest.mark.parametrize(("room", "step"), [(SalvageReader, "loose"), (Filling, "_ops")])
def test_a_salvage_that_is_ended_leaves_nothing(hurt, tmp_path, monkeypatch, room, step):
    """Ctrl-C while it reads, or while it writes: the new file is not there, nor anything beside it."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(room, step, interrupt)
    before = hurt.read_bytes()

    with pytest.raises(KeyboardInterrupt):
        salvage(hurt, tmp_path / "new.db")

    assert [file.name for file in tmp_path.iterdir()] == ["old"]
    assert hurt.read_bytes() == before


def test_a_killed_salvage_leaves_one_part(hurt, tmp_path):
    """What is found lies in a file without a name; of the new one there is a part, which says so by its name."""
    script = (
        "import os, sys\n"
        "from outlast.outbox import salvage\n"
        "from outlast.storage import SalvageReader\n"
        "SalvageReader.loose = lambda self: os.kill(os.getpid(), 9)\n"
        "salvage(*sys.argv[1:])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, hurt, tmp_path / "new.db"], check=False, timeout=60)

    assert ended.returncode == -signal.SIGKILL
    left = {file.name.partition(".part")[2] for file in tmp_path.glob("new.db*")}
    assert left <= {"", "-wal", "-shm", "-gate"}
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(("file", "most"), [("large", 3 << 20), ("hurt", 70_000)], ids=["found", "new"])
def test_a_full_disk(request, tmp_path, file, most):
    """One error says it, with the code for it, whichever file had no room; the new one is not half there."""
    path = request.getfixturevalue(file)
    # Coverage would write into a file of its own, and meet the same limit.
    words = [sys.executable, "-c", _CUT_SHORT, path, tmp_path / "new.db", str(most)]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, env=UNMEASURED)

    assert ended.returncode == 10, ended.stderr
    assert ended.stderr.count("no space is left on the disk") == 1
    assert (".part.found:" in ended.stderr) == (file == "large")
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("new.db*"))
