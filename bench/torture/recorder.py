"""Record what SQLite asks of the disk, and rebuild what a power cut may have left of it.

Between two syncs of a file the disk may keep any part of what was written, in sectors of 512 bytes, and forget the
rest; what was synced stays. A name in a folder stays once the folder was synced, which SQLite does at the first sync of
a new log, and what was deleted without a sync of the folder may come back.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import apsw

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `write`, `truncate`, `sync`, `make`, `delete`, or a note of the play.

    Args:
        what: Which.
        file: The name of the file, or what the note is about.
        at: The offset of a write, the length after a truncation, 1 for a deletion that was synced, or a place.
        data: What was written.
    """

    what: str
    file: str
    at: int = 0
    data: bytes = b""


class Recorder:
    """Stand between SQLite and the disk, pass everything on, and write it down in its order."""

    def __init__(self):
        self.events = []
        self.sync_takes = 0.0
        self._lock = threading.Lock()
        self._vfs = None

    def note(self, what, file, at=0, data=b""):
        with self._lock:
            self.events.append(Event(what, file, at, data))

    def __enter__(self):
        self._vfs = RecordedFiles(self)
        return self

    def __exit__(self, *_):
        self._vfs.unregister()


class RecordedFile(apsw.VFSFile):
    """Pass everything on to the disk, and write it down."""

    def __init__(self, recorder, name, flags):
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        self.recorder, self.name = recorder, path.name
        if not path.exists():
            recorder.note("make", self.name)
        super().__init__("unix", name, flags)

    def xWrite(self, data, offset):  # noqa: N802 - SQLite's name
        self.recorder.note("write", self.name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802 - SQLite's name
        self.recorder.note("truncate", self.name, size)
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802 - SQLite's name
        time.sleep(self.recorder.sync_takes)
        super().xSync(flags)
        self.recorder.note("sync", self.name)

    def xLock(self, level):  # noqa: N802 - SQLite's name
        try:
            super().xLock(level)
        except apsw.IOError as error:
            raise apsw.BusyError from error  # see points.py


class RecordedFiles(apsw.VFS):
    """Open files that are recorded."""

    def __init__(self, recorder):
        self.recorder = recorder
        super().__init__("recorder", "unix", makedefault=True)

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return RecordedFile(self.recorder, name, flags)

    def xDelete(self, name, sync):  # noqa: N802 - SQLite's name
        super().xDelete(name, sync)
        self.recorder.note("delete", Path(name).name, int(bool(sync)))


class Disk:
    """Know of each file what stays and what may be lost; play events to move on."""

    def __init__(self):
        self.synced = {}
        self.open = {}  # what was done to a file since its last sync
        self.unnamed = set()  # made, and the folder was not synced since
        self.deleted = {}  # deleted, and the folder was not synced since

    def play(self, event):
        match event.what:
            case "make":
                self.synced[event.file], self.open[event.file] = b"", []
                self.unnamed.add(event.file)
            case "write" | "truncate":
                self.open.setdefault(event.file, []).append(event)
            case "sync":
                self._sync(event.file)
            case "delete" if event.file in self.synced:
                gone = self.synced.pop(event.file), self.open.pop(event.file)
                if event.at:
                    self.deleted.clear()
                else:
                    self.deleted[event.file] = gone

    def _sync(self, file):
        self.synced[file] = apply(self.synced.get(file, b""), self.open.get(file, []))
        self.open[file] = []
        if file in self.unnamed and file.endswith(("-wal", "-journal")):
            self.unnamed.clear()
            self.deleted.clear()

    def image(self, dice, how):
        """Return what a power cut leaves: name and content of each file.

        Args:
            dice: Where chance comes from.
            how: `none` of what was not synced, `all` of it, or `some`, torn into sectors.
        """
        found = {}
        for file, content in self.synced.items():
            if file in self.unnamed and (how == "none" or (how == "some" and dice.random() < 0.5)):
                continue
            found[file] = apply(content, chosen(self.open[file], dice, how))
        for file, (content, events) in self.deleted.items():
            if file not in found and (how == "none" or (how == "some" and dice.random() < 0.5)):
                found[file] = apply(content, chosen(events, dice, how))
        return found


def chosen(events, dice, how):
    """Return the part of the unsynced events that a disk has kept."""
    if how != "some":
        return events if how == "all" else []
    share = dice.choice((0.1, 0.5, 0.9))
    kept = [event for event in events if dice.random() < share]
    return [piece for event in kept for piece in torn(event, dice)]


def torn(event, dice):
    """Tear a write into its sectors and lose some of them, now and then."""
    if event.what != "write" or dice.random() < 0.5:
        return [event]
    pieces, begin, end = [], event.at, event.at + len(event.data)
    while begin < end:
        until = min(end, (begin // SECTOR + 1) * SECTOR)
        pieces.append(Event("write", event.file, begin, event.data[begin - event.at : until - event.at]))
        begin = until
    return [piece for piece in pieces if dice.random() < 0.5]


def apply(content, events):
    """Return a file's content after some events."""
    data = bytearray(content)
    for event in events:
        if event.what == "truncate":
            del data[event.at :]
            data.extend(bytes(event.at - len(data)))
        else:
            data.extend(bytes(max(0, event.at - len(data))))
            data[event.at : event.at + len(event.data)] = event.data
    return bytes(data)
