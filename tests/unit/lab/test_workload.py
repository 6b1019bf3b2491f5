from __future__ import annotations

from itertools import pairwise

import pytest

from outlast.lab.workload import WARM_NOTES, Read, Write, plan

SECONDS = 60
NOTES = 100


def reads(actions):
    """Return the reads among actions."""
    return [action for action in actions if isinstance(action, Read)]


def writes(actions):
    """Return the writes among actions."""
    return [action for action in actions if isinstance(action, Write)]


def test_same_seed_same_plan():
    """A plan is a function of its seed and sizes alone."""
    assert plan(7, SECONDS, NOTES) == plan(7, SECONDS, NOTES)
    assert plan(7, SECONDS, NOTES) != plan(8, SECONDS, NOTES)


def test_in_order_of_time_and_within_it():
    """Actions come sorted and lie within the plan's time."""
    actions = plan(1, SECONDS, NOTES)

    assert all(before.at <= after.at for before, after in pairwise(actions))
    assert actions[0].at >= 0
    assert actions[-1].at < SECONDS


@pytest.mark.parametrize("seconds", [5, 30, 60])
def test_rates_hold_in_every_second(seconds):
    """Each second has at least 20 reads of notes touched before, and two writes."""
    actions = plan(1, seconds, NOTES)

    for second in range(1, seconds):
        touched = {action.note for action in actions if action.at < second}
        now = [action for action in actions if second <= action.at < second + 1]
        assert sum(read.note in touched for read in reads(now)) >= 20
        assert len(writes(now)) == 2


def test_warm_notes_are_touched_in_the_first_second():
    """Every warm note is read once before the first fault can strike."""
    first = {read.note for read in reads(plan(3, SECONDS, NOTES)) if read.at < 1}

    assert {f"n{number:04d}" for number in range(WARM_NOTES)} <= first


def test_one_first_touch_each_second():
    """Notes outside the warm set are read once each, one in every second."""
    cold = [read for read in reads(plan(1, SECONDS, NOTES)) if read.note >= "n0020" and read.note.startswith("n")]

    assert len(cold) == len({read.note for read in cold}) == SECONDS
    assert [int(read.at) for read in cold] == list(range(SECONDS))


def test_few_notes_are_enough():
    """Without notes left to touch first, all reads go to warm ones."""
    assert len(reads(plan(1, 4, 1))) == 100


def test_writes_are_unique_and_only_to_own_notes():
    """No write id comes twice, and nobody writes another's notes."""
    done = writes(plan(1, SECONDS, NOTES))

    assert len({write.write for write in done}) == len(done) == 120
    assert all(write.note.startswith("own-") for write in done)


def test_own_notes_are_used_only_after_their_creation_has_settled():
    """Reads and edits of an own note come at least a second after the write that creates it."""
    actions = plan(5, SECONDS, NOTES)
    created = {}
    for write in reversed(writes(actions)):
        created[write.note] = write

    later = [action for action in actions if action.note in created and action is not created[action.note]]
    assert all(action.at >= created[action.note].at + 1 for action in later)
    assert any(isinstance(action, Write) for action in later)
    assert any(isinstance(action, Read) for action in later)
