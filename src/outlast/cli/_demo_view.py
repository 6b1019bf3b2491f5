"""Show the demo: the phases as they come, and the verdict of both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from outlast.lab.demo import Progress
from outlast.lab.story import Phase, story

_TITLES: Final = {"outlast": "with outlast", "plain": "plain client"}
_PLAIN: Final = "plain client: 5 s timeout, 3 retries with backoff, Retry-After honoured"


class LiveView:
    """Redraw the play in place, on a terminal.

    Args:
        console: Where to draw.
        seconds: Length of the play.
    """

    def __init__(self, console: Console, seconds: float) -> None:
        self._phases = story(seconds)
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self._live.__exit__(None, None, None)

    def show(self, progress: Progress) -> None:
        """Draw the present state."""
        self._live.update(_frame(progress, self._phases))

    def tell(self, notes: Sequence[str]) -> None:
        """Print what happened, which has been drawn over by now."""
        for note in notes:
            self._live.console.print(note, highlight=False, soft_wrap=True)


class PlainView:
    """Print a line at each phase and each event, where there is no terminal.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._told = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def show(self, progress: Progress) -> None:
        """Print what is new."""
        self.tell(progress.notes)
        phase = progress.phase
        if phase.name != self._phase:
            self._phase = phase.name
            self._print(f"{progress.elapsed:5.1f} s  {phase.name}: {phase.description}")

    def tell(self, notes: Sequence[str]) -> None:
        """Print those notes that were not printed yet."""
        for note in notes[self._told :]:
            self._print(note)
        self._told = len(notes)

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _frame(progress: Progress, phases: tuple[Phase, ...]) -> RenderableType:
    strip = Text(" ").join(
        Text(f" {phase.name} ", "reverse" if phase.name == progress.phase.name else "dim") for phase in phases
    )
    elapsed = min(progress.elapsed, progress.seconds)
    bar = Table.grid(expand=True)  # a bar alone does not end its line
    bar.add_row(ProgressBar(total=progress.seconds, completed=elapsed))
    notes = Text("\n".join(progress.notes[-3:]), "yellow")
    body = Group(strip, Text(progress.phase.description, "bold"), bar, _counts(progress), notes)
    return Panel(body, title=f"outlast demo  {elapsed:.0f} of {progress.seconds:.0f} s")


def _counts(progress: Progress) -> Table:
    table = Table("", *(Column(_TITLES[name], justify="right") for name in progress.tails), box=None, padding=(0, 2))
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
    """Return the table of what the observer counted, and the verdict; it fits into 80 columns."""
    sides = [report[name] for name in _TITLES]
    title = "Counted from the API's database and the ledgers"
    table = Table("", *_TITLES.values(), title=title, title_justify="left", caption=_PLAIN, caption_justify="left")
    for words, cell in _ROWS.items():
        table.add_row(words, *(cell(side) for side in sides))
    promises = report["verdict"]["broken"]
    line = Text("\n".join(f"broken: {words}" for words in promises), "bold red")
    return Group(table, line if promises else Text("every promise was kept", "bold green"))


def _share(reads: Mapping[str, Any]) -> str:
    share = f"{reads['answered'] / reads['total']:.1%}" if reads["total"] else "none"
    return f"{reads['answered']} of {reads['total']} ({share})"


def _age(reads: Mapping[str, Any]) -> str:
    stale = f"{reads['stale'] / reads['answered']:.0%}" if reads["answered"] else "0%"
    oldest = f", up to {reads['max_age']:.0f} s old" if reads["stale"] else ""
    return f"{stale}{oldest}"


def _recovery(side: Mapping[str, Any]) -> str:
    after = side["recovered_after"]
    return "never" if after is None else f"{after:.1f} s"


_ROWS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "reads answered, seen keys": lambda side: _share(side["reads"]),
    "reads answered, first touch": lambda side: _share(side["first_reads"]),
    "  stale, and said so": lambda side: _age(side["reads"]),
    "  not true": lambda side: str(side["reads"]["wrong"] + side["first_reads"]["wrong"]),
    "writes asked for": lambda side: str(side["writes"]["asked"]),
    "  acknowledged": lambda side: str(side["writes"]["acknowledged"]),
    "    and delivered": lambda side: str(side["writes"]["delivered"]),
    "    and lost": lambda side: str(side["writes"]["lost"]),
    "  refused": lambda side: str(side["writes"]["refused"]),
    "    and yet applied": lambda side: str(side["writes"]["refused_yet_applied"]),
    "  cut off by the kill": lambda side: str(side["writes"]["unknown"]),
    "  applied twice": lambda side: str(side["writes"]["doubled"]),
    "caught up after the faults": _recovery,
}
