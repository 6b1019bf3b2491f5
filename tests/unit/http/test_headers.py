"""The deadline on the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.http import format_timeout, parse_timeout


@given(st.floats(min_value=-10.0, max_value=1e9))
def test_nobody_believes_in_more_time_than_there_is(seconds):
    """What is read is what was written, less a millisecond at most, and never more."""
    read = parse_timeout(format_timeout(seconds))

    assert read is not None
    assert max(0.0, seconds) - 0.001 - 1e-6 <= read <= max(0.0, seconds) + 1e-6


@given(st.text())
def test_any_text_is_survived(text):
    """A header is somebody else's text."""
    read = parse_timeout(text)

    assert read is None or read >= 0.0
