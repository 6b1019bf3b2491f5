"""What the demo shows: on a terminal, in a log, and at the end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from outlast.cli._demo_view import LiveView, PlainView, verdict
from outlast.lab._contestant import Tail
from outlast.lab.demo import Progress
from outlast.lab.story import story

PHASES = story(60)


def side(**changed):
    """Make what the observer counts of one side."""
    return {
        "reads": {"total": 1405, "answered": 1405, "stale": 605, "wrong": 0, "max_age": 47.8},
        "first_reads": {"total": 76, "answered": 41, "stale": 0, "wrong": 0, "max_age": 2.7},
        "writes": {
            "asked": 119, "acknowledged": 118, "delivered": 117, "refused": 31, "refused_yet_applied": 17, "lost": 1,
            "doubled": 13, "unknown": 25,
        },
        "recovered_after": 2.66,
    } | changed  # fmt: skip


def report(*broken, **changed):
    """Make a report of a whole play."""
    return {"outlast": side(**changed), "plain": side(), "verdict": {"ok": not broken, "broken": list(broken)}}


def progress(phase=0, elapsed=1.0, notes=()):
    """Make a moment of the play."""
    tails = {
        "outlast": Tail(Path("a"), answered=12, stale=3, acknowledged=7),
        "plain": Tail(Path("b"), answered=5, unanswered=4, refused=2),
    }
    return Progress(PHASES[phase], elapsed, 60.0, tails, tuple(notes))


def console(width=80, *, terminal=False):
    """Make a console that writes into a text."""
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)


def rendered(what, width=80):
    """Return the lines of something drawn."""
    drawn = console(width)
    drawn.print(what)
    return drawn.file.getvalue().splitlines()


def test_the_verdict_fits_into_80_columns():
    """Each row of the table is one line, and none is longer than a terminal is wide."""
    lines = rendered(verdict(report()))
    rows = [line for line in lines if line.startswith("│")]

    assert max(map(len, lines)) <= 80
    assert len(rows) == 13
    assert all(line.split("│")[1].strip() for line in rows)
    assert not any("…" in line for line in lines)


def test_the_verdict_tells_every_figure():
    """Reads with their shares, writes by what became of them, and the time to catch up."""
    cells = {
        line.split("│")[1].strip(): line.split("│")[2].strip()
        for line in rendered(verdict(report()))
        if line.startswith("│")
    }

    assert cells == {
        "reads answered, seen keys": "1405 of 1405 (100.0%)",
        "reads answered, first touch": "41 of 76 (53.9%)",
        "stale, and said so": "43%, up to 48 s old",
        "not true": "0",
        "writes asked for": "119",
        "acknowledged": "118",
        "and delivered": "117",
        "and lost": "1",
        "refused": "31",
        "and yet applied": "17",
        "cut off by the kill": "25",
        "applied twice": "13",
        "caught up after the faults": "2.7 s",
    }


def test_figures_of_a_play_in_which_nothing_went_well():
    """No read and no recovery are shown in words, not as a division by zero."""
    nothing = {"total": 0, "answered": 0, "stale": 0, "wrong": 0, "max_age": 0.0}
    text = "\n".join(rendered(verdict(report(reads=nothing, recovered_after=None))))

    assert "none" in text
    assert "0%" in text
    assert "never" in text


def test_a_green_verdict_says_so():
    """The last line of a good play."""
    assert rendered(verdict(report()))[-1] == "every promise was kept"


def test_a_red_verdict_names_each_promise():
    """Every broken promise has a line of its own."""
    lines = rendered(verdict(report("2 acknowledged writes are lost", "1 writes took effect twice")))

    assert lines[-2:] == ["broken: 2 acknowledged writes are lost", "broken: 1 writes took effect twice"]


def test_a_log_has_a_line_for_each_phase_and_each_note():
    """Without a terminal a phase is told when it begins and a note when it comes, each once and on one line."""
    drawn = console()
    with PlainView(drawn) as view:
        view.show(progress(0))
        view.show(progress(0, 1.1))
        view.show(progress(5, 39.2))
        view.show(progress(5, 44.6, [" 44.5 s  SIGKILL"]))
        view.tell([" 44.5 s  SIGKILL", " 60.0 s  the play is over"])
        view.tell([" 44.5 s  SIGKILL", " 60.0 s  the play is over"])

    assert drawn.file.getvalue().splitlines() == [
        "  1.0 s  healthy: all is well",
        " 39.2 s  black hole: bytes accepted, then silence; half of the requests are applied",
        " 44.5 s  SIGKILL",
        " 60.0 s  the play is over",
    ]


def test_a_terminal_shows_phase_counts_and_notes():
    """The frame names the phase, how far the play is, both sides' counts and what happened."""
    drawn = console(terminal=True)
    with LiveView(drawn, 60.0) as view:
        view.show(progress(1, 9.0, ["  8.9 s  a note"]))
        frame = rendered(view._live.renderable)
        view.tell(["  8.9 s  a note"])

    text = "\n".join(frame)
    assert max(map(len, frame)) <= 80
    assert "outlast demo  9 of 60 s" in text
    assert "connection refused: nobody listens" in text
    assert any("with outlast" in line and "plain client" in line and "━" not in line for line in frame)
    assert any(line.strip("│ ").split() == ["reads", "answered", "12", "5"] for line in frame)
    assert any(line.strip("│ ").split() == ["reads", "unanswered", "0", "4"] for line in frame)
    assert "a note" in text
    assert drawn.file.getvalue().splitlines()[-1].strip().endswith("a note") or "a note" in drawn.file.getvalue()


@pytest.mark.parametrize("phase", range(len(PHASES)))
def test_every_phase_fits_on_one_line(phase):
    """All names stand beside each other in 80 columns, the present one's description below."""
    with LiveView(console(terminal=True), 60.0) as view:
        view.show(progress(phase, 75.0))
        frame = rendered(view._live.renderable)

    assert all(name.name in frame[1] for name in PHASES)
    assert PHASES[phase].description in frame[2]
    assert "60 of 60 s" in frame[0]
