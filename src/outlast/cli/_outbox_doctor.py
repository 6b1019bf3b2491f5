"""`outlast outbox doctor`: examine, explain, salvage, begin a new epoch, and bring down."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._outbox_place import check_place, look, places_of, print_json
from outlast.cli._outbox_view import findings_lines, salvage_lines, show, why_lines
from outlast.cli._progress import working
from outlast.outbox import begin_epoch, downgrade, examine, explain, salvage
from outlast.storage import is_address


def check_outbox(where: str, *, as_json: bool) -> ExitCode:
    """Examine an outbox and print what is wrong with it."""
    check_place(where)
    with working("examining it; a large one takes some minutes"):
        found = examine(where)
    if as_json:
        print_json({"sound": not found, "findings": [asdict(one) for one in found]})
    elif found:
        show(f"{len(found)} things are wrong; nothing was changed", *findings_lines(found))
    else:
        show("nothing is wrong")
    return ExitCode.FINDINGS if found else ExitCode.DELIVERED


def explain_write(where: str, seq: str, *, as_json: bool) -> ExitCode:
    """Print why a write is not on its way."""
    (place,) = places_of([seq])
    with look(where) as seen:
        why = explain(seen, place)
    if as_json:
        print_json({"seq": place, "why": [asdict(one) for one in why]})
    else:
        show(*why_lines(why))
    return ExitCode.DELIVERED


def save(where: str, new: Path, *, move_away: bool, as_json: bool) -> ExitCode:
    """Salvage a file and print what came of it."""
    check_place(where)
    if is_address(where):
        said = "a PostgreSQL database is not salvaged from here"
        raise CommandError(ExitCode.USAGE, said, "Restore a backup of it, then: outlast outbox doctor --new-epoch.")
    with working("reading what can be read; a large file takes some minutes"):
        report = salvage(where, new, move_away=move_away)
    if as_json:
        print_json({"whole": report.whole, **asdict(report)})
    else:
        show(*salvage_lines(report))
    return ExitCode.DELIVERED if report.whole else ExitCode.FINDINGS


def begin_new_epoch(where: str, *, as_json: bool) -> ExitCode:
    """Begin a new epoch and print it."""
    check_place(where)
    identity = begin_epoch(where)
    if as_json:
        print_json({"epoch": identity.epoch, "keys_begin_with": str(identity)})
    else:
        show(f"epoch {identity.epoch}: what is queued from now on has keys that begin with {identity}")
    return ExitCode.DELIVERED


def bring_down(where: str, layout: int, *, as_json: bool) -> ExitCode:
    """Bring an outbox down to an older layout and print what stands against it."""
    check_place(where)
    found = downgrade(where, layout)
    if as_json:
        print_json({"layout": layout, "done": not found, "findings": [asdict(one) for one in found]})
    elif found:
        show(f"layout {layout} cannot hold all of it; nothing was changed", *findings_lines(found))
    else:
        show(
            f"it has layout {layout} now; this version of outlast would bring it up again, so start the older one next"
        )
    return ExitCode.FINDINGS if found else ExitCode.DELIVERED
