"""The options of `outlast push`: contradictions are refused before anything is read."""

from pathlib import Path

import pytest

from outlast.cli import _options as options
from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._options import Method, Shape
from outlast.outbox import Verb


@pytest.mark.parametrize("verb", [Verb.POST, Verb.PATCH])
def test_what_could_be_doubled_needs_a_decision(verb):
    """A POST or PATCH says what a repetition may do, or is refused with both ways out."""
    with pytest.raises(CommandError, match="could double it") as caught:
        Shape(verb=verb).check(verb)
    Shape(verb=verb, at_least_once=True).check(verb)
    Shape(verb=verb, key_header="Idempotency-Key").check(verb)

    assert caught.value.code is ExitCode.USAGE
    assert "--idempotency-header" in caught.value.remedy
    assert "--at-least-once" in caught.value.remedy


@pytest.mark.parametrize(
    ("verb", "key_header", "said"),
    [
        (Verb.CREATE, None, "each record is created at most once and never overwrites"),
        (Verb.PUT, None, "the same content may be sent twice, which changes nothing"),
        (Verb.DELETE, None, "the same content may be sent twice, which changes nothing"),
        (Verb.POST, "Key", "each record takes effect once, if the server honours the key in Key"),
        (Verb.PATCH, None, "each record arrives at least once; one whose answer was lost may be doubled"),
    ],
)
def test_guarantee_is_named(verb, key_header, said):
    """Each way of sending has a guarantee in words."""
    assert Shape(verb=verb, key_header=key_header).guarantee(verb) == said


def test_create_is_a_put():
    """--create chooses the verb and goes with PUT only."""
    assert options.choose_verb(Method.PUT, create=True) is Verb.CREATE
    assert options.choose_verb(Method.DELETE, create=False) is Verb.DELETE
    with pytest.raises(CommandError, match="does not go with --method POST"):
        options.choose_verb(Method.POST, create=True)


@pytest.mark.parametrize(
    ("outbox", "file", "expected"),
    [(None, "a/b.jsonl", "a/b.outbox"), (None, "-", "push.outbox"), (Path("x"), "a.csv", "x")],
)
def test_outbox_lies_beside_the_input(outbox, file, expected):
    """Without --outbox the file gets its name from the input."""
    assert options.choose_outbox(outbox, file) == Path(expected)


def test_without_input_an_outbox_must_exist(tmp_path):
    """Going on needs something to go on with."""
    (tmp_path / "there").touch()

    assert options.choose_outbox(tmp_path / "there", None) == tmp_path / "there"
    with pytest.raises(CommandError, match="name the FILE"):
        options.choose_outbox(None, None)
    with pytest.raises(CommandError, match="no outbox"):
        options.choose_outbox(tmp_path / "none", None)


def test_duration_is_read_or_refused():
    """Durations have units; nothing, nonsense and zero are refused with the name of the option."""
    assert options.seconds("--patience", "250ms") == 0.25
    for text in ("soon", "0s", "-1"):
        with pytest.raises(CommandError, match="--patience"):
            options.seconds("--patience", text)


def test_headers_are_read(monkeypatch):
    """A header is a name and a value; @env:NAME stands for a variable, so that no process list shows it."""
    monkeypatch.setenv("TOKEN", "abc")
    monkeypatch.setenv("WHOLE", "X-Whole: yes")

    found = options.read_headers(["Authorization:Bearer @env:TOKEN", "X-Time: 12:30 ", "@env:WHOLE"], None)

    assert found == {"Authorization": "Bearer abc", "X-Time": "12:30", "X-Whole": "yes"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["secret-without-colon"], "number 1 is not of the form"),
        (["bad name: secret"], "number 1 is not of the form"),
        (["X: "], "the value of X is empty"),
        (["X: secret\nInjected: 1"], "characters that a header cannot carry"),
        (["X: secr\u00e9t"], "characters that a header cannot carry"),
        (["X: @env:NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["Host: secret"], "Host is set already"),
        (["If-Match: secret"], "If-Match is set already"),
        (["My-Key: secret"], "My-Key is set already"),
        (["X: secret", "x: secret"], "x is set already"),
    ],
)
def test_bad_header_is_refused_without_showing_it(given, said):
    """What is wrong with a header is said without its value, which may be secret."""
    with pytest.raises(CommandError) as caught:
        options.read_headers(given, "my-key")

    assert said in caught.value.text
    assert "secr" not in caught.value.text


@pytest.mark.parametrize("name", ["bad name", "Host", "content-type", ""])
def test_key_header_must_be_a_header(name):
    """The header for the key is one that nothing else uses."""
    assert options.key_header_name("Idempotency-Key") == "Idempotency-Key"
    assert options.key_header_name(None) is None
    with pytest.raises(CommandError, match="--idempotency-header"):
        options.key_header_name(name)
