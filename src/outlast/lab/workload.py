"""What an application reads and writes during a play: a plan made from a seed, the same for every contestant.

The load is open: each action has its time, however long the ones before it take, so that a slow API does not quietly
lower the number of reads that are asked for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from outlast.lab._notes import seeded_note

READS_PER_SECOND: Final = 25
WRITES_PER_SECOND: Final = 2
FIRST_READS_PER_SECOND: Final = 1
WARM_NOTES: Final = 20

# Until then only creations, so that there is something to edit; afterwards this share of the writes.
_FIRST_CREATIONS: Final = 3
_CREATIONS_SHARE: Final = 1 / 3
# An own note is edited or read from one second after its creation, when a healthy API has long stored it.
_SETTLING_SECONDS: Final = 1.0
_OWN_READS_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class Read:
    """Read a note, `at` seconds after the beginning."""

    at: float
    note: str


@dataclass(frozen=True, slots=True)
class Write:
    """Put a note, `at` seconds after the beginning; `write` names this write and no other."""

    at: float
    note: str
    write: str
    text: str


Action = Read | Write


def plan(seed: int, seconds: float, notes: int) -> tuple[Action, ...]:
    """Return what is to be done, in order of time.

    Of the reads, all but one a second go to warm notes: the first 20 seeded ones, all of which are read within the
    first second, and the application's own. That one is the first read of a seeded note not touched before, as long
    as there are any left (there is one more for each second if `notes` >= 20 + `seconds`). Seeded notes are written
    by others only, own notes (`own-0`, ...) by the application only.

    Args:
        seed: Equal seeds give equal plans.
        seconds: Length of the plan, > 0.
        notes: How many notes the API was seeded with, >= 1.

    >>> plan(1, 60, 100)[0]
    Read(at=0.0, note='n0017')
    """
    chance = random.Random(seed)
    writes = _writes(chance, seconds)
    return tuple(sorted([*_reads(chance, seconds, notes, writes), *writes], key=lambda action: action.at))


def _writes(chance: random.Random, seconds: float) -> list[Write]:
    writes: list[Write] = []
    created: list[Write] = []
    for number in range(int(seconds * WRITES_PER_SECOND)):
        at = (number + chance.random()) / WRITES_PER_SECOND
        settled = _settled(created, at)
        creates = not settled or len(created) < _FIRST_CREATIONS or chance.random() < _CREATIONS_SHARE
        note = f"own-{len(created)}" if creates else chance.choice(settled)
        write = Write(at, note, f"w-{number}", f"text {number} of seed {chance.getrandbits(32):08x}")
        writes.append(write)
        if creates:
            created.append(write)
    return writes


def _reads(chance: random.Random, seconds: float, notes: int, writes: list[Write]) -> list[Read]:
    warm = [seeded_note(number) for number in range(min(notes, WARM_NOTES))]
    cold = [seeded_note(number) for number in range(len(warm), notes)]
    chance.shuffle(cold)
    untouched = chance.sample(warm, len(warm))
    created = [write for number, write in enumerate(writes) if write.note not in {w.note for w in writes[:number]}]
    reads: list[Read] = []
    for number in range(int(seconds * READS_PER_SECOND)):
        at = number / READS_PER_SECOND
        if cold and number % (READS_PER_SECOND // FIRST_READS_PER_SECOND) == READS_PER_SECOND - 1:
            note = cold.pop()
        elif untouched:
            note = untouched.pop()
        else:
            own = _settled(created, at) if chance.random() < _OWN_READS_SHARE else []
            note = chance.choice(own or warm)
        reads.append(Read(at, note))
    return reads


def _settled(created: list[Write], at: float) -> list[str]:
    return [write.note for write in created if write.at + _SETTLING_SECONDS <= at]


__all__ = [
    "FIRST_READS_PER_SECOND",
    "READS_PER_SECOND",
    "WARM_NOTES",
    "WRITES_PER_SECOND",
    "Action",
    "Read",
    "Write",
    "plan",
]
