"""The command `outlast explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from outlast.cli._exit import CommandError, ExitCode
from outlast.errors import ConfigError
from outlast.policies import Explanation, Severity, load_pipelines
from outlast.registry import Registry

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="YAML file with the key `pipelines`")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="end with code 14 if there is a finding of severity error")
    ] = False,
) -> None:
    """Show what the pipelines of a file do: the tree, the worst that one call can cost, and what looks wrong.

    Nothing is called. A file that is wrong is answered with the line, the path and, where it can be guessed, what was
    meant.
    """
    if not file.exists():
        raise CommandError(ExitCode.USAGE, f"{file}: there is no such file")
    try:
        pipelines = load_pipelines(file, registry=Registry())
    except ConfigError as error:
        if as_json:
            _print_json({"file": str(file), "error": _as_json(error)})
        raise CommandError(ExitCode.MALFORMED_INPUT, str(error)) from error
    explanations = [pipeline.explain() for pipeline in pipelines.values()]
    if as_json:
        _print_json({"file": str(file), "pipelines": [explanation.as_json() for explanation in explanations]})
    else:
        print("\n\n".join(map(str, explanations)) or f"{file}: there is no pipeline in it")
    raise typer.Exit(ExitCode.FINDINGS if strict and _wrong(explanations) else ExitCode.DELIVERED)


def _wrong(explanations: list[Explanation]) -> bool:
    return any(finding.severity is Severity.ERROR for explained in explanations for finding in explained.findings)


def _as_json(error: ConfigError) -> dict[str, Any]:
    return {"line": error.line, "path": error.path, "message": error.message, "suggestion": error.suggestion or None}


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2))
