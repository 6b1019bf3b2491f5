"""What an outbox holds, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from outlast.cli._visible import visible
from outlast.outbox import Counts, Finding, OpSheet, OpStatus, ParkedOp, SalvageReport, Why

_LONGEST = 4000
_SHOWN = 20
_NARROWEST = 40
"""Columns in which a table still says something; a terminal that is narrower, or says it has none, breaks the lines."""


class _Output(Console):
    """Let whoever prints know that nobody reads any more, as Python itself does."""

    def on_broken_pipe(self) -> None:
        """Raise again what was raised."""
        raise BrokenPipeError


def show(*parts: RenderableType | str, err: bool = False) -> None:
    """Print on standard output or standard error; an id or a server's word in brackets is no style."""
    console = _Output(highlight=False, soft_wrap=False, stderr=err)
    console.width = max(console.width, _NARROWEST)
    for part in parts:
        console.print(_text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))


def _text(text: str) -> Text:
    """Return a line of words of others, which stays one."""
    return Text(visible(text))


def moment(seconds: float) -> str:
    """Return Unix seconds as people read them.

    >>> moment(0.0)
    '1970-01-01 00:00:00Z'
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (OSError, OverflowError, ValueError):  # a damaged one may be
        return str(seconds)


def body_text(body: bytes | None, *, absent: str = "(nothing)") -> str:
    """Return a body: JSON indented, other text as it is, bytes as hexadecimal digits; a long one is cut."""
    if body is None:
        return absent
    try:
        found = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        found = body.decode() if _is_text(body) else body.hex(" ")
    found = visible(found, lines=True)
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}\n... ({len(body):,} bytes; --json has all)"


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def counts_table(name: str, counts: Counts, notes: Sequence[str]) -> RenderableType:
    """Return how many writes are where."""
    table = Table(title=_text(name), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for label, number, meaning in (
        ("ready", counts.ready, "never sent"),
        ("waiting", counts.waiting, "sent, and not settled"),
        ("conflict", counts.conflict, "see: outlast outbox conflicts"),
        ("dead", counts.dead, "see: outlast outbox dead"),
        ("delivered", counts.delivered, ""),
        ("folded", counts.folded, "taken up by others before they were sent"),
    ):
        table.add_row(label, f"{number:,}", meaning)
    return Group(table, *map(_text, notes))


def statuses_table(statuses: Sequence[OpStatus]) -> RenderableType:
    """Return writes as lines."""
    table = Table(box=None, pad_edge=False)
    for name in ("place", "state", "what", "tries", "since", "last word"):
        table.add_column(name, justify="right" if name in {"place", "tries"} else "left", overflow="fold")
    for one in statuses:
        what = f"{one.verb.value if one.verb is not None else ''} {one.kind} {one.entity}".strip()
        row = (str(one.seq), one.state.value, what, str(one.attempts), moment(one.at), one.reason)
        table.add_row(*map(_text, row))
    return table


def sides(parked: ParkedOp) -> RenderableType:
    """Return a conflict: base, ours and theirs beside each other, and what is open."""
    op = parked.op
    table = Table(title_justify="left", title=_text(f"{op.seq}: {op.verb.value} {op.kind} {op.entity}"), expand=True)
    for name in ("base", "ours", "theirs"):
        table.add_column(name, ratio=1, overflow="fold")
    gone = "(gone)" if parked.found is False else "(not known)"
    ours = body_text(parked.ours, absent="(deleted)")
    table.add_row(
        *map(Text, (body_text(parked.base, absent="(not known)"), ours, body_text(parked.theirs, absent=gone)))
    )
    said = [f"why: {parked.reason}", f"since: {moment(parked.at)}, after {parked.attempts} attempts"]
    said += [f"their version: {parked.etag}"] if parked.etag is not None else []
    open_paths = [field["path"] for field in (parked.report or {}).get("fields", ()) if field["source"] == "open"]
    said += [f"to be decided: {', '.join(open_paths)}"] if open_paths else []
    return Group(table, *map(_text, said))


def dead_lines(parked: ParkedOp) -> RenderableType:
    """Return a dead letter."""
    op = parked.op
    head = f"{op.seq}: {op.verb.value} {op.kind} {op.entity}, since {moment(parked.at)}, {parked.attempts} attempts"
    return Group(_text(head), _text(f"    {parked.reason}"))


def sheet_lines(sheet: OpSheet, why: Sequence[Why]) -> RenderableType:
    """Return all of a write."""
    status = sheet.status
    lines: dict[str, str] = {"state": f"{status.state.value}, {moment(status.at)}", "attempts": str(status.attempts)}
    if sheet.op is not None:
        op = sheet.op
        lines |= {"what": f"{op.verb.value} {op.kind} {op.entity}", "key": op.key, "lane": str(op.lane)}
        lines |= _given({"target": op.target, "if-match": op.if_match, "after": op.after, "group": op.group})
        lines |= _given({"expires": None if op.expires_at is None else moment(op.expires_at)})
    if sheet.sealed is not None:
        request = sheet.sealed.request
        lines |= {"sealed": f"{request.method} {request.url}", "in doubt": "yes" if sheet.sealed.doubt else "no"}
    lines |= _given({"version": status.etag, "last word": status.reason or None})
    table = Table("", Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in lines.items():
        table.add_row(name, _text(value))
    body = [] if sheet.op is None else [Text(f"\n{body_text(sheet.op.body)}\n")]
    return Group(table, *body, *why_lines(why))


def _given(values: Mapping[str, object | None]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def why_lines(why: Sequence[Why]) -> list[RenderableType]:
    """Return why a write does not go."""
    found = [f"- {one.text}" + (f" ({one.remedy})" if one.remedy else "") for one in why]
    return [_text(line) for line in found]


def findings_lines(findings: Sequence[Finding]) -> list[RenderableType]:
    """Return what is wrong, the first ones of very many."""
    lines = [_text(f"- {one.text}") for one in findings[:_SHOWN]]
    more = len(findings) - _SHOWN
    lines += [Text(f"... and {more} more; --json has all")] if more > 0 else []
    return [*lines, *(_text(f"-> {remedy}") for remedy in dict.fromkeys(one.remedy for one in findings))]


def salvage_lines(report: SalvageReport) -> list[RenderableType]:
    """Return what came of a salvage."""
    waiting, parked, settled = (report.read.get(table, 0) for table in ("op", "parked", "receipt"))
    lines = [
        f"{report.new}, epoch {report.epoch}: {waiting:,} waiting, {parked:,} parked, {settled:,} receipts",
        *(f"damaged: {what}" for what in report.damaged),
        *(f"moved to {name}" for name in report.quarantined),
    ]
    if report.unseen_commits:
        lines.append(f"{report.unseen_commits} commits that SQLite had left out are in the new file")
    if report.unfinished_commits:
        lines.append(f"{report.unfinished_commits} commits that a crash left half written are left out")
    if report.doubtful:
        lines.append(f"{len(report.doubtful):,} writes are doubtful and lie in the dead letters:")
        lines += [f"    {one.seq}: {one.why}" for one in report.doubtful[:_SHOWN]]
    lines += _losses(report)
    if report.whole:
        lines.append("everything could be read")
    return [_text(line) for line in lines] + findings_lines(report.findings)


def _losses(report: SalvageReport) -> Iterator[str]:
    if report.missing:
        some = ", ".join(f"{low}-{high}" if low != high else str(low) for low, high in report.missing[:_SHOWN])
        yield f"LOST or settled without a trace: whatever lay at the places {some}"
    if report.open_end:
        yield "LOST: whatever was queued last; how much that was nobody can tell"
    if report.names_lost:
        yield "LOST: some names of what is queued once; such a write may be queued a second time"
    if report.receipts_lost:
        yield "LOST: some receipts; what became of those writes is not known, and none of them is sent again"
    if report.self_lost:
        yield "LOST: some of what it knew of itself: its name, without which its keys are new, or its codec"
