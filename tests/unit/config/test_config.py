import math

import pytest

from outlast.config import check_known, check_number, parse_duration, parse_size, suggest
from outlast.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (2, 2.0),
        (0.25, 0.25),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("2d", 172800.0),
        ("1.5 S", 1.5),
        ("3", 3.0),
        (" 0.5 ", 0.5),
    ],
)
def test_durations(text, seconds):
    """Durations are numbers of seconds, or text with units."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1x", "1h soon", "-1s", -1, math.inf, math.nan, True, "nan", "1s-"])
def test_what_is_no_duration(text):
    """Anything else is refused, with the path and an example."""
    with pytest.raises(ConfigError, match=r"a\.b: .*is not a duration.*30s"):
        parse_duration(text, path="a.b")


@pytest.mark.parametrize(
    ("text", "size"), [(5, 5), ("64MiB", 64 << 20), ("1GB", 10**9), ("10kb", 10_000), ("7", 7), ("1.5KiB", 1536)]
)
def test_sizes(text, size):
    """Sizes are numbers of bytes, or text with units."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "big", "1.5", 1.5, "1TB", -1, math.inf, False, "0.0001KiB"])
def test_what_is_no_size(text):
    """Anything else is refused."""
    with pytest.raises(ConfigError, match="is not a size"):
        parse_size(text)


def test_unknown_names_come_with_a_suggestion():
    """A mistyped name is refused with its path, the known names and the likely one."""
    with pytest.raises(ConfigError) as caught:
        check_known(["backoff", "atempts"], {"attempts", "backoff"}, path="retry")

    assert str(caught.value) == ("retry.atempts: unknown setting; there are: attempts, backoff; did you mean attempts?")


def test_unknown_name_without_a_path():
    """Without a path the name itself is the place; without a likely word none is suggested."""
    with pytest.raises(ConfigError) as caught:
        check_known(["zzz"], ["attempts"])

    assert str(caught.value) == "zzz: unknown setting; there are: attempts"


def test_known_names_pass():
    """What is known is fine, and so is nothing."""
    check_known(["a"], ["a", "b"])
    check_known([], [])
    assert suggest("x", []) == ""


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"above": 0}, "above 0"),
        (1, {"least": 2}, "at least 2"),
        (3, {"most": 2}, "at most 2"),
        ("3", {}, "a number"),
        (True, {}, "a number"),
        (math.nan, {}, "a number"),
    ],
    ids=repr,
)
def test_numbers_out_of_range(value, bounds, message):
    """A number outside of its range is refused by name."""
    with pytest.raises(ConfigError, match=f"n: must be .*{message}"):
        check_number("n", value, **bounds)


def test_numbers_in_range():
    """The bounds themselves are inside."""
    check_number("n", 2, least=2, most=2, above=1)
