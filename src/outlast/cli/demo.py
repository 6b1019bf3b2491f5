"""The command `outlast demo`."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from outlast.cli._demo_view import LiveView, PlainView, verdict
from outlast.cli._exit import CommandError, ExitCode
from outlast.lab.demo import Demo, DemoOptions

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_SHORTEST = 10.0


@app.command()
def demo(
    *,
    seconds: Annotated[float, typer.Option(help="length of the play; the phases scale with it")] = 60.0,
    seed: Annotated[int, typer.Option(help="seed of the workload and of the faults")] = 1,
    headless: Annotated[bool, typer.Option("--headless", help="print lines instead of drawing in place")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="end with one JSON object on standard output")] = False,
    keep: Annotated[Path | None, typer.Option(help="keep databases, ledgers and logs in this folder")] = None,
    plant: Annotated[
        str | None, typer.Option(help="put a bug into the API, lost or doubled, to see the verdict go red")
    ] = None,
) -> None:
    """Play the same reads and writes with outlast and with a plain HTTP client, while the API behind them fails.

    Starts an example API, a proxy that breaks it and an application, each as a process on loopback, twice; refuses
    connections, delays, answers 500 and 429, swallows bytes, kills the applications with SIGKILL, and recovers. An
    observer that shares no code with outlast counts what became of every read and write.
    """
    if not _SHORTEST <= seconds < math.inf:
        raise CommandError(ExitCode.USAGE, f"--seconds must be at least {_SHORTEST:g}, not {seconds:g}")
    if plant not in {None, "lost", "doubled"}:
        raise CommandError(ExitCode.USAGE, f"--plant is lost or doubled, not {plant!r}")
    if keep is not None and keep.exists() and not keep.is_dir():
        raise CommandError(ExitCode.USAGE, f"--keep: {keep} is a file", "Name a folder that is new or empty.")
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandError(ExitCode.USAGE, f"--keep: the folder {keep} is not empty", "Name one that is new or empty.")
    report = _play(DemoOptions(seconds=seconds, seed=seed, folder=keep, plant=plant), headless=headless)
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    raise typer.Exit(ExitCode.DELIVERED if report["verdict"]["ok"] else ExitCode.BROKEN_PROMISE)


def _play(options: DemoOptions, *, headless: bool) -> dict[str, Any]:
    console = Console(stderr=True)
    view = PlainView(console) if headless or not console.is_terminal else LiveView(console, options.seconds)
    try:
        with view:
            report = asyncio.run(_performed(Demo(options, view.show)))
    except KeyboardInterrupt:
        raise CommandError(ExitCode.INTERRUPTED, "interrupted; every process of the play was ended") from None
    except asyncio.CancelledError:
        raise CommandError(ExitCode.TERMINATED, "terminated; every process of the play was ended") from None
    except RuntimeError as error:
        raise CommandError(ExitCode.FAILED, str(error), "Use --keep FOLDER to have all logs.") from error
    view.tell(report["notes"])
    console.print(verdict(report))
    return report


async def _performed(demo: Demo) -> dict[str, Any]:
    task = asyncio.current_task()
    if task is not None:
        # Ctrl-C cancels by itself; SIGTERM, as from a supervisor, must not leave processes behind either.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await demo.play()
