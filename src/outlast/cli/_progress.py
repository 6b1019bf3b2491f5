"""Show how a push goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from outlast.cli._visible import visible

_WINDOW = 10.0
_LINE_EVERY = 5.0
_UNITS = ((3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Hold what there is to show.

    Args:
        at: Monotonic seconds.
        delivered: How many are delivered.
        waiting: How many wait.
        conflicting: How many are in conflict.
        dead: How many are given up.
        trouble: What the server gives instead of useful answers right now, or empty.
        next_try: Seconds until the next attempt.
    """

    at: float
    delivered: int
    waiting: int
    conflicting: int
    dead: int
    trouble: str = ""
    next_try: float = 0.0

    @property
    def settled(self) -> int:
        """Return how many need nothing more."""
        return self.delivered + self.conflicting + self.dead


class Speed:
    """Measure settled records a second over the last few seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def measure(self, view: View) -> float:
        """Add a view and return the present speed."""
        self._points.append((view.at, view.settled))
        while self._points[0][0] < view.at - _WINDOW:
            self._points.popleft()
        (begin, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


def words(view: View, speed: float) -> str:
    """Return a view as one line.

    >>> words(View(at=0.0, delivered=5, waiting=20, conflicting=1, dead=0), 4.0)
    '5 delivered, 20 waiting, 1 conflicting, 0 dead; 4/s, about 5 s left'
    """
    settled = f"{view.delivered:,} delivered, {view.waiting:,} waiting"
    parked = f"{view.conflicting:,} conflicting, {view.dead:,} dead"
    pace = f"; {speed:.0f}/s, about {left(view, speed)} left" if round(speed) and view.waiting else ""
    return f"{settled}, {parked}{pace}"


def left(view: View, speed: float) -> str:
    """Return the time that what waits will take at this speed.

    >>> left(View(at=0.0, delivered=0, waiting=1200, conflicting=0, dead=0), 4.0)
    '5 min'
    """
    seconds = view.waiting / speed
    size, unit = next((found for found in _UNITS if seconds >= 2 * found[0]), (1, "s"))
    return f"{seconds / size:.0f} {unit}"


def trouble(view: View) -> str:
    """Return what the server gives right now, or nothing."""
    if not view.trouble:
        return ""
    after = f"; next try in {view.next_try:.0f} s" if round(view.next_try) else ""
    return f"{visible(view.trouble[:100])}{after}"


class Display(Protocol):
    """Be a place to show progress."""

    def queueing(self, done: int, total: int) -> None:
        """Show how much of the input is in the outbox."""
        ...

    def delivering(self, view: View) -> None:
        """Show how the delivery goes on."""
        ...

    def say(self, text: str) -> None:
        """Show a line that stays."""
        ...

    def close(self) -> None:
        """Stop showing; a second close does nothing."""
        ...


class Silence:
    """Show nothing but what must be said."""

    def queueing(self, done: int, total: int) -> None:
        """Show nothing."""

    def delivering(self, view: View) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Do nothing."""


class Lines(Silence):
    """Print a line every few seconds, for logs.

    Args:
        stream: Where to. Default standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._speed = Speed()
        self._last: float | None = None

    def delivering(self, view: View) -> None:
        """Print a line if the last one is old enough."""
        speed = self._speed.measure(view)
        if self._last is None:
            self._last = view.at
        elif view.at - self._last >= _LINE_EVERY:
            self._last = view.at
            said = " | ".join(line for line in (words(view, speed), trouble(view)) if line)
            print(said, file=self._stream, flush=True)


class _BarAndLines(Progress):
    """Draw lines of text under the bar; beside it they would not fit on a terminal of 80 columns."""

    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar and the lines."""
        yield from super().get_renderables()
        # Text, not str: an id or a server's word in brackets is no style.
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines if line)


class Bar:
    """Draw a bar on a terminal.

    Args:
        console: The terminal. Default standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn())
        self._progress = _BarAndLines(*columns, console=console or Console(stderr=True), expand=True)
        self._speed = Speed()
        self._task = self._progress.add_task("queueing", total=None)
        self._progress.start()

    def queueing(self, done: int, total: int) -> None:
        """Show how much of the input is in the outbox."""
        self._progress.update(self._task, completed=done, total=total)

    def delivering(self, view: View) -> None:
        """Show how the delivery goes on."""
        self._progress.lines = (words(view, self._speed.measure(view)), trouble(view))
        total = view.settled + view.waiting
        self._progress.update(self._task, description="delivering", completed=view.settled, total=total)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state of the bar and give the terminal back."""
        self._progress.stop()


def working(what: str) -> AbstractContextManager[object]:
    """Show on a terminal, for the length of a block, that something takes a while; elsewhere nothing is shown.

    Args:
        what: What is done.
    """
    return Console(stderr=True).status(what)


def open_display(*, quiet: bool) -> Display:
    """Return what fits standard error.

    Args:
        quiet: Whether to show no progress at all.
    """
    if quiet:
        return Silence()
    return Bar() if sys.stderr.isatty() else Lines()
