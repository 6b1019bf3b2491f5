"""The doctor beside a program that goes on to write: what is sound is not called damaged."""

import sys

from delivering import put
from outlast.events import EventBus
from outlast.outbox import SyncOutbox, examine
from outlast.storage import SalvageReader


def test_what_is_written_meanwhile_is_no_damage(tmp_path, monkeypatch):
    """While the pages are read, very many writes are queued and the log is written back; nothing is wrong."""
    with SyncOutbox.open(tmp_path / "app.db", bus=EventBus()) as box:
        box.enqueue(*[put(f"before{number}") for number in range(300)])

        class Slow(SalvageReader):
            def rows(self, name):
                if name == "op":
                    for turn in range(3):
                        box.enqueue(*[put(f"{turn}.{number}") for number in range(100)])
                        box.core.database.read(lambda db: db.wal_checkpoint()).result()
                return super().rows(name)

        monkeypatch.setattr(sys.modules[examine.__module__], "SalvageReader", Slow)

        assert examine(tmp_path / "app.db") == []
        assert box.counts().ready == 600
