"""Count what became of every read and write, from the API's own database and the applications' ledgers alone.

This module imports the standard library and nothing else: it shares no code with what it judges, and it works out by
itself what was true when. Applications that share an API need write ids of their own.

A read is *answered* when its answer is true, else *wrong* and not answered. True means:

1. the write that it shows was the note's current one on the server at some moment between `asked - age` (and a slack
   of 0.25 s) and `at`, or it was the application's own and not applied yet at such a moment (a pending write); and
2. the reader reads its own writes: after the acknowledgement of W, a read of that note that is asked for later shows W,
   a later write of its own, or one that the server applied after W.

Reads of a note that the application has seen before (an answered read or an acknowledged write of it, earlier than the
question) are `reads`, the others `first_reads`.

    python -m outlast.lab.observer --api-db notes.db --ledger app.jsonl --healed-at 1790000000.0
"""

from __future__ import annotations

import argparse
import json
import math
import sqlite3
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SLACK_SECONDS: Final = 0.25
_EXAMPLES: Final = 20


@dataclass(frozen=True, slots=True)
class Effect:
    """A change that the API has applied."""

    seq: int
    note: str
    write: str
    at: float
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which a note had one value on the server; `write` is None while there was no such note."""

    write: str | None
    seq: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Ask:
    """A write that an application has asked for; `order` counts its asks from 0."""

    order: int
    note: str
    at: float


class Truth:
    """What the API applied, and when."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        self.effects_of: dict[str, list[Effect]] = defaultdict(list)
        self._history: dict[str, list[Effect]] = defaultdict(list)
        for effect in sorted(effects, key=lambda effect: effect.seq):
            self._history[effect.note].append(effect)
            self.effects_of[effect.write].append(effect)

    def spans(self, note: str) -> Iterator[Span]:
        """Give the values of a note in order, from the time before it existed on."""
        history = self._history.get(note, [])
        ends = [*(effect.at for effect in history), math.inf]
        yield Span(None, 0, -math.inf, ends[0])
        for effect, end in zip(history, ends[1:], strict=True):
            yield Span(None if effect.deleted else effect.write, effect.seq, effect.at, end)

    def first_applied(self, write: str) -> Effect | None:
        """Return the first effect of a write, or None."""
        effects = self.effects_of.get(write)
        return effects[0] if effects else None


@dataclass(slots=True)
class Application:
    """What one application asked for and was told, as its ledger has it."""

    asks: dict[str, Ask] = field(default_factory=dict[str, Ask])
    acks: dict[str, float] = field(default_factory=dict[str, float])
    refusals: dict[str, float] = field(default_factory=dict[str, float])
    reads: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    seen: dict[str, float] = field(default_factory=dict[str, float])
    acked_on: dict[str, list[str]] = field(default_factory=lambda: defaultdict[str, list[str]](list))

    def take(self, entry: Mapping[str, Any]) -> None:
        """Add one line of the ledger."""
        note, at = entry["note"], entry["at"]
        match entry["kind"]:
            case "ask":
                self.asks.setdefault(entry["write"], Ask(len(self.asks), note, at))
            case "ack":
                self._take_ack(entry["write"], note, at)
            case "refused":
                self.refusals.setdefault(entry["write"], at)
            case "read":
                self.reads.append(entry)
                if entry["answered"]:
                    self._see(note, at)
            case other:
                raise ValueError(f"unknown kind of ledger line: {other!r}")

    def _take_ack(self, write: str, note: str, at: float) -> None:
        if write not in self.acks:
            self.acks[write] = at
            self.acked_on[note].append(write)
        self._see(note, at)

    def _see(self, note: str, at: float) -> None:
        self.seen[note] = min(at, self.seen.get(note, math.inf))


def judge(read: Mapping[str, Any], application: Application, truth: Truth) -> str | None:
    """Return why the answer of a read is not true, or None when it is."""
    note, shown = read["note"], read["write"]
    since = read["asked"] - (read["age"] or 0.0) - SLACK_SECONDS
    spans = [
        span for span in truth.spans(note) if span.write == shown and span.begin <= read["at"] and span.end > since
    ]
    if not spans and not _was_pending(read, since, application, truth):
        return f"{shown!r} was not the value of the note within the stated age, nor an own write on its way"
    last_seq = max((span.seq for span in spans), default=0)
    for own in application.acked_on.get(note, ()):
        if application.acks[own] <= read["asked"] and not _shows(own, shown, last_seq, application, truth):
            return f"{shown!r} hides the own write {own!r}, which was acknowledged before the question"
    return None


def _was_pending(read: Mapping[str, Any], since: float, application: Application, truth: Truth) -> bool:
    """Tell whether an own write was asked for, and neither applied nor refused, at some moment of the read's time."""
    shown = read["write"]
    ask = application.asks.get(shown)
    if ask is None or ask.note != read["note"]:
        return False
    applied = truth.first_applied(shown)
    end = min(applied.at if applied else math.inf, application.refusals.get(shown, math.inf))
    return ask.at <= read["at"] and end >= since


def _shows(own: str, shown: str | None, last_seq: int, application: Application, truth: Truth) -> bool:
    """Tell whether an answer shows this own write or something later."""
    if shown == own:
        return True
    asked, shown_ask = application.asks.get(own), application.asks.get(shown or "")
    if asked and shown_ask and shown_ask.order > asked.order:
        return True
    applied = truth.first_applied(own)
    return applied is not None and last_seq >= applied.seq


@dataclass(slots=True)
class _Tally:
    """Counts of one sort of reads."""

    total: int = 0
    wrong: int = 0
    ages: list[float] = field(default_factory=list[float])
    stale_ages: list[float] = field(default_factory=list[float])

    def count(self, read: Mapping[str, Any], reason: str | None) -> None:
        self.total += 1
        if not read["answered"]:
            return
        if reason is not None:
            self.wrong += 1
            return
        self.ages.append(read["age"] or 0.0)
        if read["stale"]:
            self.stale_ages.append(read["age"] or 0.0)

    def report(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "answered": len(self.ages),
            "stale": len(self.stale_ages),
            "wrong": self.wrong,
            "max_age": max(self.ages, default=None),
            "median_stale_age": statistics.median(self.stale_ages) if self.stale_ages else None,
        }


def report(application: Application, truth: Truth, healed_at: float) -> dict[str, Any]:
    """Return all counts of one application.

    `reads` and `first_reads` hold total, answered, stale, wrong, max_age (s, of the answered) and median_stale_age (s);
    `writes` holds counts; `wrong_reads`, `lost_writes` and `doubled_writes` the first 20 of each; `recovered_after` the
    seconds from `healed_at` until every write acknowledged by then had its effect, None if one still has none.
    """
    seen, first = _Tally(), _Tally()
    wrong: list[dict[str, Any]] = []
    for read in application.reads:
        reason = judge(read, application, truth) if read["answered"] else None
        tally = seen if application.seen.get(read["note"], math.inf) <= read["asked"] else first
        tally.count(read, reason)
        if reason is not None:
            wrong.append({"note": read["note"], "asked": read["asked"], "at": read["at"], "reason": reason})
    counts, lost, doubled = _count_writes(application, truth)
    return {
        "reads": seen.report(),
        "first_reads": first.report(),
        "writes": counts,
        "recovered_after": _recovered_after(application, truth, healed_at),
        "wrong_reads": wrong[:_EXAMPLES],
        "lost_writes": lost[:_EXAMPLES],
        "doubled_writes": doubled[:_EXAMPLES],
    }


def _count_writes(application: Application, truth: Truth) -> tuple[dict[str, int], list[str], list[str]]:
    asked, acked = application.asks.keys() | application.acks.keys(), application.acks.keys()
    refused = application.refusals.keys() - acked
    lost = [write for write in acked if truth.first_applied(write) is None]
    doubled = sorted(write for write in asked if len(truth.effects_of.get(write, ())) > 1)
    counts = {
        "asked": len(asked),
        "acknowledged": len(acked),
        "delivered": len(acked) - len(lost),
        "refused": len(refused),
        "refused_yet_applied": sum(truth.first_applied(write) is not None for write in refused),
        "lost": len(lost),
        "doubled": len(doubled),
        "unknown": len(asked - acked - refused),
    }
    return counts, lost, doubled


def _recovered_after(application: Application, truth: Truth, healed_at: float) -> float | None:
    last = healed_at
    for write, acked_at in application.acks.items():
        if acked_at <= healed_at:
            applied = truth.first_applied(write)
            if applied is None:
                return None
            last = max(last, applied.at)
    return last - healed_at


def observe(api_db: Path, ledgers: Sequence[Path], healed_at: float) -> list[dict[str, Any]]:
    """Return the report of every application, in the order of their ledgers.

    Args:
        api_db: Database of the notes API; opened read-only, also while the API runs.
        ledgers: One ledger per application; a torn last line is left out.
        healed_at: Unix seconds at which the last fault ended.

    Raises:
        OSError: A ledger cannot be read.
        ValueError: A ledger holds a line that is none.
        sqlite3.Error: The database cannot be read.
    """
    truth = Truth(_effects(api_db))
    return [{"ledger": str(path), **report(_application(path), truth, healed_at)} for path in ledgers]


def _effects(api_db: Path) -> list[Effect]:
    with closing(sqlite3.connect(f"{api_db.resolve().as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT seq, note, write_id, at, verb = 'DELETE' FROM effects")
        return [Effect(*row) for row in rows]


def _application(path: Path) -> Application:
    application = Application()
    # What stands after the last line end is empty, or a line that a kill has torn.
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            application.take(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: not a line of a ledger: {error}") from error
    return application


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reports as one JSON object; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m outlast.lab.observer", description="Count reads and writes.")
    parser.add_argument("--api-db", required=True, type=Path, help="database of the notes API")
    parser.add_argument("--ledger", required=True, type=Path, action="append", help="ledger of an application")
    parser.add_argument("--healed-at", required=True, type=float, help="Unix seconds at which the last fault ended")
    options = parser.parse_args(arguments)
    try:
        reports = observe(options.api_db, options.ledger, options.healed_at)
    except (OSError, ValueError, sqlite3.Error) as error:
        sys.stderr.write(f"cannot observe: {error}\n")
        return 2
    sys.stdout.write(json.dumps({"applications": reports}) + "\n")
    return 0


__all__ = ["SLACK_SECONDS", "Application", "Ask", "Effect", "Span", "Truth", "judge", "main", "observe", "report"]

if __name__ == "__main__":
    raise SystemExit(main())
