"""`outlast push`: every record of a file becomes a request that is delivered, or stays visible."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from outlast.cli._delivery import Delivery
from outlast.cli._exit import CommandError, ExitCode, error_as_json, say
from outlast.cli._options import (
    Method,
    Pace,
    PushOptions,
    Shape,
    choose_outbox,
    choose_verb,
    key_header_name,
    read_headers,
    seconds,
    usage,
)
from outlast.cli._progress import open_display
from outlast.cli._records import InputFormat, format_of, read_records
from outlast.cli._template import Template
from outlast.cli._visible import json_text
from outlast.cli._writes import Planned, plan_writes
from outlast.errors import OutlastError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_EPILOG = (
    "Run the same command again after Ctrl-C, a crash or an outage: it goes on where it ended, "
    "and never sends again what is known to be delivered."
)


@app.command(epilog=_EPILOG)
def push(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="JSON Lines or CSV with a header row, - for standard input; none to go on with what --outbox holds.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where each record goes, such as https://api.example.org/notes/{id}."),
    ] = None,
    *,
    form: Annotated[
        InputFormat | None, typer.Option("--format", help="Format of FILE. Default: by its suffix.")
    ] = None,
    method: Annotated[Method, typer.Option(help="HTTP method.")] = Method.PUT,
    create: Annotated[bool, typer.Option("--create", help="PUT that never overwrites (If-None-Match: *).")] = False,
    id_field: Annotated[
        str | None, typer.Option("--id", metavar="FIELD", help="What names a record. Default: the fields of --to.")
    ] = None,
    wrap: Annotated[str | None, typer.Option(metavar="KEY", help='Send {"KEY": record} instead of record.')] = None,
    outbox: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File that keeps what is to be delivered. Default: beside FILE.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=100, help="Requests at once.")] = 8,
    rate: Annotated[float | None, typer.Option(metavar="N", help="Requests a second at most.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'", help="Header to add; repeatable, never stored. @env:NAME reads a variable."
        ),
    ] = None,
    call_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="Limit for one request, such as 250ms.")
    ] = "10s",
    patience: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to go on without any useful answer from the server.")
    ] = "60s",
    idempotency_header: Annotated[
        str | None, typer.Option(metavar="NAME", help="Header that carries a key which is the same at each attempt.")
    ] = None,
    at_least_once: Annotated[bool, typer.Option("--at-least-once", help="A POST or PATCH may be doubled.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, send nothing.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="Send the conflicting and dead records again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipt as one line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Send every record of FILE to an HTTP API, and lose none.

    The whole input is checked first. Then every record is put into an outbox file that survives a crash, and delivered
    from there. A 409 or 412 is settled by reading back: equal content counts as delivered, other content is a conflict
    and is never overwritten.
    """
    try:
        key_header = key_header_name(idempotency_header)
        headers, media_type = _split_content_type(read_headers(header or (), key_header))
        options = PushOptions(
            file=file,
            form=form,
            template=_template(file, to),
            outbox=choose_outbox(outbox, file),
            shape=Shape(choose_verb(method, create=create), id_field, wrap, media_type, key_header, at_least_once),
            pace=_pace(concurrency, rate, call_timeout, patience),
            headers=headers,
            replay=replay,
        )
        code = _dry_run(options, as_json=as_json) if dry_run else _run(options, as_json=as_json, quiet=quiet)
    except (CommandError, OutlastError) as error:
        if as_json:
            say(json_text(error_as_json(error)))
        raise
    except KeyboardInterrupt:
        # Before the delivery listens to signals itself, as while standard input is read.
        raise CommandError(ExitCode.INTERRUPTED, "interrupted; run the same command again") from None
    raise typer.Exit(int(code))


def _template(file: str | None, to: str | None) -> Template | None:
    if to is None and file is not None:
        raise usage("say with --to where the records go", "Such as: --to 'https://api.example.org/notes/{id}'.")
    return None if to is None else Template.parse(to)


def _split_content_type(headers: dict[str, str]) -> tuple[dict[str, str], str]:
    """Return the headers that are added to each request, and the media type, which is part of the record's request."""
    found = [value for name, value in headers.items() if name.lower() == "content-type"]
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return others, found[0] if found else "application/json"


def _pace(concurrency: int, rate: float | None, call_timeout: str, patience: str) -> Pace:
    if rate is not None and not 0 < rate < float("inf"):
        raise usage("--rate: must be a number above 0")
    return Pace(
        concurrency=concurrency,
        rate=rate,
        call_timeout=seconds("--call-timeout", call_timeout),
        patience=seconds("--patience", patience),
    )


def _plan(options: PushOptions) -> list[Planned]:
    """Read and check the whole input; nothing is queued before this has ended well."""
    if options.file is None or options.template is None:
        return []
    options.shape.check(options.shape.verb)
    records = read_records(options.file, format_of(options.file, options.form))
    return plan_writes(options.file, records, options.template, options.shape)


def _run(options: PushOptions, *, as_json: bool, quiet: bool) -> ExitCode:
    planned = _plan(options)
    display = open_display(quiet=quiet or as_json)
    try:
        receipt = asyncio.run(Delivery(options, planned, display).run())
    finally:
        display.close()
    say(receipt.as_json() if as_json else receipt.as_text())
    return receipt.code


def _dry_run(options: PushOptions, *, as_json: bool) -> ExitCode:
    planned = _plan(options)
    shape = options.shape
    first = planned[0].write if planned else None
    shown = {
        "records": len(planned),
        "method": "PUT" if shape.verb.value == "create" else shape.verb.name,
        "first_url": first.target if first else None,
        "first_body": first.body.decode() if first and first.body is not None else None,
        "header_names": sorted(options.headers),
        "guarantee": shape.guarantee(shape.verb),
        "outbox": str(options.outbox),
    }
    if as_json:
        say(json_text({"exit_code": 0, "exit": "delivered", "dry_run": True, **shown}))
        return ExitCode.DELIVERED
    lines = [
        f"{len(planned):,} records are well formed; nothing was queued or sent.",
        *([f"The first request: {shown['method']} {shown['first_url']}"] if first else []),
        *([f"    {str(shown['first_body'])[:300]}"] if first and first.body is not None else []),
        f"Guarantee: {shown['guarantee']}.",
        f"Outbox: {options.outbox}",
    ]
    say("\n".join(lines))
    return ExitCode.DELIVERED
