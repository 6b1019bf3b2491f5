"""`outlast outbox`: look into an outbox, decide about what waits for a person, and examine a damaged file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._outbox_doctor import begin_new_epoch, bring_down, check_outbox, explain_write, save
from outlast.cli._outbox_export import export_lines, write_whole
from outlast.cli._outbox_json import parked_as_json, sheet_as_json, status_as_json
from outlast.cli._outbox_place import look, open_to_decide, places_of, print_json, told
from outlast.cli._outbox_view import counts_table, dead_lines, sheet_lines, show, sides, statuses_table
from outlast.outbox import Inspection, OpState, ParkedOp, explain, nobody

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Look into an outbox, decide about what waits for a person, and examine a damaged file.",
)

Where = Annotated[
    str, typer.Argument(metavar="OUTBOX", help="A file, or postgresql://user@host/database with ?schema= if need be.")
]
Seq = Annotated[str, typer.Argument(metavar="SEQ", help="The place of a write, as list shows it.")]
Seqs = Annotated[list[str], typer.Argument(metavar="SEQ...", help="The places of writes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec", metavar="MODULE:NAME", help="The codec that the bodies are written by, imported from this folder."
    ),
]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="How many at most.")]


@app.command()
def status(where: Where, *, as_json: AsJson = False) -> None:
    """Count the writes by what became of them, and say whether somebody delivers."""
    with told(as_json=as_json), look(where) as seen:
        counts, notes = seen.counts(), _notes(seen)
        if as_json:
            numbers = {name: getattr(counts, name) for name in counts.__slots__}
            print_json({"outbox": seen.name, **numbers, "open": counts.open, "notes": notes})
        else:
            show(counts_table(seen.name, counts, notes))


def _notes(seen: Inspection) -> list[str]:
    """Return what holds everything up: nobody delivers, or an origin has asked for a rest."""
    found = [f"{one.text}; {one.remedy}" for one in nobody(seen)]
    if seen.codec is not None:
        found.append(f"bodies are written by the codec {seen.codec!r}; to read them name it with --codec")
    for origin, pause in seen.pauses().items():
        if left := pause.left(seen.clock.wall()):
            found.append(f"{origin} asked not to be called for another {left:.0f} s: {pause.reason}")
    return found


@app.command(name="list")
def list_(
    where: Where,
    *,
    state: Annotated[OpState | None, typer.Option(help="Only those in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only those of this kind.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List writes by place."""
    with told(as_json=as_json), look(where) as seen:
        found = seen.list(state, kind=kind, limit=limit)
        if as_json:
            print_json({"outbox": seen.name, "writes": list(map(status_as_json, found))})
        else:
            show(statuses_table(found) if found else "there is no such write")


@app.command(name="show")
def show_(where: Where, seq: Seq, *, codec: Codec = None, as_json: AsJson = False) -> None:
    """Show all that is held of one write, and why it is not on its way."""
    with told(as_json=as_json):
        (place,) = places_of([seq])
        with look(where, codec) as seen:
            sheet, why = seen.show(place), explain(seen, place)
        if as_json:
            print_json({**sheet_as_json(sheet), "why": [one.text for one in why]})
        else:
            show(sheet_lines(sheet, why))


@app.command()
def conflicts(where: Where, *, limit: Limit = 20, codec: Codec = None, as_json: AsJson = False) -> None:
    """Show the conflict inbox: base, ours and theirs beside each other."""
    with told(as_json=as_json), look(where, codec) as seen:
        found = seen.parked(OpState.CONFLICT, limit=limit)
        if as_json:
            print_json({"outbox": seen.name, "conflicts": list(map(parked_as_json, found))})
            return
        show(*map(sides, found))
        _show_rest(seen, OpState.CONFLICT, found)


@app.command()
def dead(where: Where, *, limit: Limit = 20, codec: Codec = None, as_json: AsJson = False) -> None:
    """Show the dead letters with their reasons."""
    with told(as_json=as_json), look(where, codec) as seen:
        found = seen.parked(OpState.DEAD, limit=limit)
        if as_json:
            print_json({"outbox": seen.name, "dead": list(map(parked_as_json, found))})
            return
        show(*map(dead_lines, found))
        _show_rest(seen, OpState.DEAD, found)


def _show_rest(seen: Inspection, state: OpState, found: Any) -> None:
    counts = seen.counts()
    total = counts.conflict if state is OpState.CONFLICT else counts.dead
    show(f"{len(found)} of {total}; decide with: outlast outbox replay OUTBOX SEQ, or discard OUTBOX SEQ")


@app.command()
def replay(
    where: Where,
    seqs: Seqs,
    *,
    body: Annotated[
        str | None, typer.Option(metavar="FILE", help="What to send instead, - for standard input; of one SEQ only.")
    ] = None,
    if_match: Annotated[
        str | None,
        typer.Option(metavar="ETAG", help="The version that it is based on now; `theirs` for the one that was found."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Send it over whatever is there.")] = False,
    codec: Codec = None,
    as_json: AsJson = False,
) -> None:
    """Send conflicting or dead writes again, at their old places."""
    with told(as_json=as_json):
        places = places_of(seqs)
        if body is not None and len(places) > 1:
            raise CommandError(ExitCode.USAGE, "--body is for one write", "Name one SEQ, or leave --body out.")
        if overwrite and if_match is not None:
            raise CommandError(ExitCode.USAGE, "--overwrite and --if-match contradict each other")
        content = None if body is None else _content(body)
        with open_to_decide(where, places, codec) as (box, waiting):
            # All of them are known before anything is decided.
            versions = [None if overwrite or if_match is None else _version(one, if_match) for one in waiting]
            for one, version in zip(waiting, versions, strict=True):
                if overwrite or if_match is not None:
                    box.replay(one.seq, content, if_match=version)
                else:
                    box.replay(one.seq, content)
        _say("replayed", places, as_json=as_json)


def _version(parked: ParkedOp, if_match: str) -> str | None:
    if if_match == "theirs" and parked.etag is None:
        raise CommandError(
            ExitCode.USAGE,
            f"write {parked.seq}: it is not known which version the server has",
            "Name it with --if-match, or send it over whatever is there with --overwrite.",
        )
    return parked.etag if if_match == "theirs" else if_match


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise CommandError(ExitCode.USAGE, f"--body: {name}: {error.strerror}") from error


@app.command()
def discard(
    where: Where,
    seqs: Seqs,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    codec: Codec = None,
    as_json: AsJson = False,
) -> None:
    """Forget conflicting or dead writes; the server stays as it is."""
    with told(as_json=as_json):
        places = places_of(seqs)
        with open_to_decide(where, places, codec) as (box, waiting):
            if not yes:
                _ask(waiting, as_json=as_json)
            for one in waiting:
                box.discard(one.seq)
        _say("discarded", places, as_json=as_json)


def _ask(waiting: list[ParkedOp], *, as_json: bool) -> None:
    if not sys.stdin.isatty():
        raise CommandError(ExitCode.USAGE, "nobody can be asked here; nothing was discarded", "Say it with --yes.")
    show(*map(dead_lines, waiting), err=as_json)
    try:
        agreed = typer.confirm(f"Forget {'these' if len(waiting) > 1 else 'this'} for ever?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        raise CommandError(ExitCode.INTERRUPTED, "nothing was discarded") from None
    if not agreed:
        raise CommandError(ExitCode.USAGE, "nothing was discarded")


def _say(done: str, places: list[int], *, as_json: bool) -> None:
    if as_json:
        print_json({done: places})
    else:
        show(f"{done}: {', '.join(map(str, places))}")


@app.command()
def export(
    where: Where,
    *,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; there as a whole or not at all. Default: standard output."),
    ] = None,
    codec: Codec = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say also in JSON how many are in FILE, or what went wrong.")
    ] = False,
) -> None:
    """Write each write that waits, conflicts or is dead as a line of JSON."""
    with told(as_json=as_json), look(where, codec) as seen:
        if to is None:
            for line in export_lines(seen):
                print(line)
            return
        number = write_whole(to, export_lines(seen))
        if as_json:
            print_json({"outbox": seen.name, "exported": number, "to": str(to)})
        else:
            show(f"{number:,} writes in {to}")


@app.command()
def doctor(
    where: Where,
    *,
    explained: Annotated[
        str | None, typer.Option("--explain", metavar="SEQ", help="Say why this write is not on its way.")
    ] = None,
    new: Annotated[
        Path | None, typer.Option("--salvage", metavar="NEW", help="Read all that can be read into a new file.")
    ] = None,
    move_away: Annotated[
        bool, typer.Option("--quarantine", help="With --salvage: give the old files another name.")
    ] = False,
    new_epoch: Annotated[
        bool, typer.Option("--new-epoch", help="After a backup was restored: use no key a second time.")
    ] = False,
    layout: Annotated[
        int | None,
        typer.Option("--downgrade", metavar="LAYOUT", help="Bring it down to a layout that an older outlast knows."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Examine an outbox; with an option, explain, salvage, begin a new epoch, or bring it down for an older outlast."""
    with told(as_json=as_json):
        chosen = (explained is not None, new is not None, new_epoch, layout is not None)
        if sum(chosen) > 1 or (move_away and new is None):
            said = "--explain, --salvage, --new-epoch and --downgrade go one at a time, --quarantine with --salvage"
            raise CommandError(ExitCode.USAGE, said)
        if explained is not None:
            code = explain_write(where, explained, as_json=as_json)
        elif new is not None:
            code = save(where, new, move_away=move_away, as_json=as_json)
        elif new_epoch:
            code = begin_new_epoch(where, as_json=as_json)
        elif layout is not None:
            code = bring_down(where, layout, as_json=as_json)
        else:
            code = check_outbox(where, as_json=as_json)
    raise typer.Exit(int(code))
