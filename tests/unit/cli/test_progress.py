"""Progress: a bar on a terminal, lines elsewhere, nothing when asked for nothing."""

import io

from rich.console import Console

from outlast.cli import _progress as progress
from outlast.cli._progress import Bar, Lines, Silence, Speed, View


def view(at, delivered=0, waiting=0, **fields):
    """Return what there is to show."""
    return View(at=at, delivered=delivered, waiting=waiting, conflicting=0, dead=0, **fields)


def test_speed_is_that_of_the_last_seconds():
    """What was fast long ago does not brighten the present."""
    speed = Speed()

    measured = [speed.measure(view(at, delivered)) for at, delivered in [(0, 0), (1, 100), (20, 100), (21, 110)]]

    assert measured == [0.0, 100.0, 0.0, 10.0]


def test_trouble_names_the_next_try():
    """What the server gives right now comes with the time of the next attempt, if that is not at once."""
    shown = view(0.0, 1, 2, trouble="ConnectError: refused", next_try=3.2)

    assert progress.words(shown, 0.0) == "1 delivered, 2 waiting, 0 conflicting, 0 dead"
    assert progress.trouble(shown) == "ConnectError: refused; next try in 3 s"
    assert progress.trouble(view(0.0, trouble="503")) == "503"
    assert progress.trouble(view(0.0)) == ""


def test_time_left_has_a_fitting_unit():
    """Seconds, minutes or hours, whichever a person would say."""
    assert [progress.left(view(0.0, waiting=n), 1.0) for n in (90, 600, 7200)] == ["90 s", "10 min", "2 h"]


def test_lines_come_every_few_seconds():
    """A log gets a line every five seconds, and none for a push that is over before."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.queueing(5, 5)

    for at in range(12):
        lines.delivering(view(float(at), at * 10, 100, trouble="503"))
    lines.close()

    assert stream.getvalue().splitlines() == [
        f"{n} delivered, 100 waiting, 0 conflicting, 0 dead; 10/s, about 10 s left | 503" for n in (50, 100)
    ]


def test_silence_says_only_what_must_be_said(capsys):
    """Without progress a message still gets through."""
    silence = Silence()
    silence.queueing(1, 2)
    silence.delivering(view(0.0))
    silence.say("stopping")
    silence.close()

    assert capsys.readouterr().err == "stopping\n"


def test_bar_shows_counts_and_takes_no_word_for_markup():
    """The bar has all counts, and an answer with brackets in it is shown as it is."""
    stream = io.StringIO()
    bar = Bar(Console(file=stream, force_terminal=True, width=80))

    bar.queueing(2, 4)
    bar.delivering(view(0.0, 1, 3, trouble="[red]503"))
    bar.say("[bold]stopping")
    bar.close()
    bar.close()

    assert "1 delivered, 3 waiting, 0 conflicting, 0 dead" in stream.getvalue()
    assert "[red]503" in stream.getvalue()
    assert "[bold]stopping" in stream.getvalue()


def test_display_fits_where_it_is_shown(monkeypatch):
    """A terminal gets the bar, a pipe gets lines, quiet gets nothing."""
    assert type(progress.open_display(quiet=True)) is Silence
    assert type(progress.open_display(quiet=False)) is Lines
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    bar = progress.open_display(quiet=False)
    bar.close()
    assert type(bar) is Bar
