"""Show the demo: the phases as they come, and the verdict of both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from outlast.lab.demo import Progress
from outlast.lab.story import Phase, story

_TITLES = {"outlast": "with outlast", "plain": "plain client, 5 s timeout, 3 retries"}


class LiveView:
    """Redraw the play in place, on a terminal.

    Args:
        console: Where to draw.
        seconds: Length of the play.
    """

    def __init__(self, console: Console, seconds: float) -> None:
        self._phases = story(seconds)
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self._live.__exit__(None, None, None)

    def show(self, progress: Progress) -> None:
        """Draw the present state."""
        self._live.update(_frame(progress, self._phases))


class PlainView:
    """Print a line at each phase and each event, where there is no terminal.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._notes = 0

    def __enter__(self) -> PlainView:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def show(self, progress: Progress) -> None:
        """Print what is new."""
        for note in progress.notes[self._notes :]:
            self._console.print(f"{progress.elapsed:5.1f} s  {note}", highlight=False)
        self._notes = len(progress.notes)
        if progress.phase.name != self._phase:
            self._phase = progress.phase.name
            self._console.print(
                f"{progress.elapsed:5.1f} s  {progress.phase.name}: {progress.phase.description}", highlight=False
            )


def _frame(progress: Progress, phases: tuple[Phase, ...]) -> RenderableType:
    strip = Text(" ").join(
        Text(f" {phase.name} ", "reverse" if phase.name == progress.phase.name else "dim") for phase in phases
    )
    bar = ProgressBar(total=progress.seconds, completed=min(progress.elapsed, progress.seconds))
    notes = Text("\n".join(progress.notes[-3:]), "yellow")
    body = Group(strip, Text(progress.phase.description, "bold"), bar, _counts(progress), notes)
    return Panel(body, title=f"outlast demo  {progress.elapsed:.0f} of {progress.seconds:.0f} s")


def _counts(progress: Progress) -> Table:
    table = Table("", *(_TITLES[name] for name in progress.tails), box=None, padding=(0, 2))
    tails = progress.tails.values()
    table.add_row("reads answered", *(f"[green]{tail.answered}[/]" for tail in tails))
    table.add_row("  of them stale, and said so", *(str(tail.stale) for tail in tails))
    table.add_row("reads unanswered", *(_bad(tail.unanswered) for tail in tails))
    table.add_row("writes acknowledged", *(f"[green]{tail.acknowledged}[/]" for tail in tails))
    table.add_row("writes refused", *(_bad(tail.refused) for tail in tails))
    return table


def _bad(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def verdict(report: Mapping[str, Any]) -> RenderableType:
    """Return the table of what the observer counted, and the verdict."""
    sides = [report[name] for name in _TITLES]
    table = Table("counted by an independent observer", *_TITLES.values(), title_justify="left")
    for words, cell in _ROWS.items():
        table.add_row(words, *(cell(side) for side in sides))
    promises = report["verdict"]["broken"]
    line = (
        Text("every promise was kept", "bold green")
        if not promises
        else Text("broken: " + "; ".join(promises), "bold red")
    )
    return Group(table, line)


def _share(reads: Mapping[str, Any]) -> str:
    share = f"{reads['answered'] / reads['total']:.1%}" if reads["total"] else "none"
    return f"{reads['answered']} of {reads['total']} ({share})"


def _age(reads: Mapping[str, Any]) -> str:
    stale = f"{reads['stale'] / reads['answered']:.0%}" if reads["answered"] else "0%"
    oldest = f", at most {reads['max_age']:.0f} s old" if reads["stale"] else ""
    return f"{stale}{oldest}"


def _recovery(side: Mapping[str, Any]) -> str:
    after = side["recovered_after"]
    return "never" if after is None else f"{after:.1f} s"


_ROWS = {
    "reads answered, keys seen before": lambda side: _share(side["reads"]),
    "reads answered, first touch": lambda side: _share(side["first_reads"]),
    "stale answers, declared as such": lambda side: _age(side["reads"]),
    "answers that were not true": lambda side: str(side["reads"]["wrong"] + side["first_reads"]["wrong"]),
    "writes asked for": lambda side: str(side["writes"]["asked"]),
    "  acknowledged": lambda side: str(side["writes"]["acknowledged"]),
    "  of them delivered": lambda side: str(side["writes"]["delivered"]),
    "  of them lost": lambda side: str(side["writes"]["lost"]),
    "  refused: the user has to do it again": lambda side: str(side["writes"]["refused"]),
    "  refused, and yet applied": lambda side: str(side["writes"]["refused_yet_applied"]),
    "  cut off by the kill": lambda side: str(side["writes"]["unknown"]),
    "writes that took effect twice": lambda side: str(side["writes"]["doubled"]),
    "acknowledged writes applied, after the end of the faults": _recovery,
}
