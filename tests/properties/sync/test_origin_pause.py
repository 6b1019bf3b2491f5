"""Laws of pauses: no clock can stretch one."""

import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from outlast.engines.origin_pause import OriginPause, pause, resume
from outlast.errors import ConfigError

WALLS = st.floats(-4e9, 4e9)
SECONDS = st.floats(0, 5000)
PAUSES = st.none() | st.builds(OriginPause, WALLS, SECONDS)


@given(known=PAUSES, seconds=SECONDS, wall=WALLS, later=WALLS)
def test_nobody_rests_longer_than_was_asked(known, seconds, wall, later):
    """Wherever the clock jumps, no more is left than the longest of what was asked for, within the limit."""
    found = pause(known, seconds, wall=wall, longest=3600.0)
    asked = max(min(seconds, 3600.0), 0.0 if known is None else known.length)

    assert 0 <= found.left(later) <= found.length <= asked
    assert resume(found, wall=later, now=100.0) - 100.0 <= asked + 1e-9


@given(known=PAUSES, seconds=SECONDS, wall=WALLS)
def test_the_longer_pause_stays(known, seconds, wall):
    """A second request never cuts a pause short, and never adds to it."""
    before = 0.0 if known is None else known.left(wall)
    found = pause(known, seconds, wall=wall, longest=math.inf)

    assert found.left(wall) == pytest.approx(max(before, seconds), abs=1e-5)


@given(seconds=SECONDS, wall=WALLS, passed=SECONDS)
def test_a_true_clock_ends_it_in_time(seconds, wall, passed):
    """With a clock that runs as it should, what is left goes down with it."""
    found = pause(None, seconds, wall=wall, longest=math.inf)

    assert found.left(wall + passed) == pytest.approx(max(0.0, seconds - passed), abs=1e-5)


@given(known=PAUSES, jumps=st.lists(WALLS, max_size=10))
def test_asking_again_does_not_add_up(known, jumps):
    """However the clock jumps between requests of no length, what is left never rises."""
    left = 0.0 if known is None else known.length
    for wall in jumps:
        known = pause(known, 0.0, wall=wall)
        assert known.left(wall) <= left + 1e-5
        left = known.left(wall)


@given(known=PAUSES.filter(bool))
def test_a_pause_survives_being_stored(known):
    """It comes back from JSON as it was."""
    assert OriginPause.from_data(json.loads(json.dumps(known.to_data()))) == known


def test_without_a_pause_nothing_rests():
    """There is nothing to be resumed."""
    assert resume(None, wall=0.0, now=7.0) == 7.0


@pytest.mark.parametrize(("asked", "length"), [(-5.0, 0.0), (math.nan, 60.0), (math.inf, 60.0), (10.0, 10.0)])
def test_what_is_no_number_of_seconds(asked, length):
    """A negative rest is none; one that is no number is as long as is believed."""
    found = pause(None, asked, wall=1000.0, longest=60.0, reason="429")

    assert found == OriginPause(1000.0 + length, length, "429")


def test_the_reason_of_the_pause_in_force_stays():
    """What the origin said to the pause that holds is what is shown."""
    known = pause(None, 60.0, wall=1000.0, reason="first")

    assert pause(known, 5.0, wall=1010.0, reason="second") == OriginPause(1060.0, 50.0, "first")


@pytest.mark.parametrize("numbers", [(math.nan, 1.0), (0.0, math.inf), (0.0, -1.0)])
def test_a_pause_must_end(numbers):
    """What would never end is a mistake."""
    with pytest.raises(ConfigError, match="pause"):
        OriginPause(*numbers)
