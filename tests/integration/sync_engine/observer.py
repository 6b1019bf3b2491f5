"""Judge a play from the ledger of acknowledgements and the API's own database; nothing of outlast is imported."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Verdict:
    """Say what became of the writes."""

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)


def judge(ledger: Path, database: Path, prefix: str) -> Verdict:
    """Compare what was acknowledged with what took effect.

    A write is named producer-process-number. A producer queues one after the other, so the numbers of one
    process must appear in order in each note, whatever was killed meanwhile.

    Args:
        ledger: What the producers were told, one line for each acknowledged write.
        database: The API's.
        prefix: Of the notes that belong to the play.
    """
    # A kill may tear the last line of a process only if the system does; lines are written by one call each.
    acknowledged = [line.split(" ")[0] for line in ledger.read_text().splitlines()]
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as db:
        effects = db.execute("SELECT note, write_id FROM effects ORDER BY seq").fetchall()
    effects = [(note, write) for note, write in effects if note.startswith(prefix)]
    times = Counter(write for _, write in effects)
    verdict = Verdict(len(acknowledged))
    verdict.lost = [write for write in acknowledged if not times[write]]
    verdict.doubled = [write for write, number in times.items() if number > 1]
    lanes = defaultdict(list)
    for note, write in effects:
        producer, process, number = write.rsplit("-", 2)
        lanes[note, producer, process].append(int(number))
    verdict.unordered = [note for (note, _, _), numbers in lanes.items() if numbers != sorted(numbers)]
    return verdict
