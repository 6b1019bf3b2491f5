from __future__ import annotations

from itertools import pairwise

import pytest

from outlast.lab.proxy import BlackHole, Healthy
from outlast.lab.story import healed_after, story


@pytest.mark.parametrize("seconds", [10.0, 30.0, 60.0])
def test_phases_fill_the_time_without_a_gap(seconds):
    """Each phase starts where the last one ends, from zero to the play's length."""
    phases = story(seconds)

    assert phases[0].start == 0
    assert phases[-1].end == pytest.approx(seconds)
    assert all(before.end == after.start for before, after in pairwise(phases))


def test_the_kill_lies_within_the_black_hole():
    """The application is killed once, while requests hang."""
    (killed,) = [phase for phase in story() if phase.kill_at is not None]

    assert isinstance(killed.fault, BlackHole)
    assert killed.start < killed.kill_at < killed.end


def test_the_end_is_healthy():
    """The last fault ends where the recovery starts."""
    phases = story()

    assert isinstance(phases[-1].fault, Healthy)
    assert healed_after(phases) == phases[-1].start
