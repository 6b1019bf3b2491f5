from __future__ import annotations

import gc
import random

import pytest

from outlast.outbox._lanes import LaneIndex


def index(*ops):
    """Build an index of (place, lane) pairs."""
    lanes = LaneIndex()
    for seq, lane in ops:
        lanes.add(seq, lane)
    return lanes


def play(lanes, now=0.0):
    """Take and remove until nothing more may go; return the places in the order in which they went."""
    gone = []
    while taken := lanes.take(now, 100):
        gone += taken
        for seq in taken:
            lanes.remove(seq)
    return gone


def test_heads_go_in_the_order_of_their_places():
    """Each lane gives its oldest op, one at a time, and lanes do not wait for each other."""
    lanes = index((1, 7), (2, 7), (3, 8), (4, 7), (5, 9))

    first = lanes.take(0.0, 10)
    again = lanes.take(0.0, 10)
    lanes.remove(1)
    second = lanes.take(0.0, 10)

    assert (first, again, second) == ([1, 3, 5], [], [2])


def test_no_more_heads_are_taken_than_asked_for():
    """A lane that was not taken stays ready, and its turn comes before that of a lane which went just now."""
    lanes = index((1, 1), (2, 2), (3, 3), (4, 1))

    first = lanes.take(0.0, 2)
    lanes.remove(1)

    assert (first, lanes.take(0.0, 0), lanes.take(0.0, 1), lanes.take(0.0, 9)) == ([1, 2], [], [3], [4])


def test_an_op_is_known_once():
    """Adding what is known already changes nothing."""
    lanes = index((1, 1), (1, 1))

    assert (len(lanes), lanes.deliverable, play(lanes), len(lanes)) == (1, 1, [1], 0)


def test_a_postponed_head_keeps_its_lane_back():
    """The lane waits until its head is due, and only that lane."""
    lanes = index((1, 1), (2, 1), (3, 2))
    lanes.take(0.0, 10)
    lanes.postpone(1, 5.0, patient=False)
    lanes.remove(3)

    before, due = lanes.take(4.9, 10), lanes.next_due()

    assert (before, due, lanes.take(5.0, 10), lanes.next_due()) == ([], 5.0, [1], None)


def test_a_later_wait_replaces_an_earlier_one():
    """The heap's old entry for a head that went and came back does not wake it early, nor count as due."""
    lanes = index((1, 1))
    lanes.take(0.0, 1)
    lanes.postpone(1, 5.0, patient=False)
    lanes.hurry()
    lanes.take(1.0, 1)
    lanes.postpone(1, 50.0, patient=False)

    assert (lanes.next_due(), lanes.take(6.0, 1), lanes.take(50.0, 1)) == (50.0, [], [1])


def test_hurry_lets_the_impatient_go_and_leaves_the_patient():
    """What waits because the server asked for it goes on waiting when the server answers again."""
    lanes = index((1, 1), (2, 2))
    lanes.take(0.0, 2)
    lanes.postpone(1, 60.0, patient=False)
    lanes.postpone(2, 60.0, patient=True)

    lanes.hurry()

    assert (lanes.take(0.0, 9), lanes.next_due()) == ([1], 60.0)


def test_hurry_reaches_an_op_behind_another():
    """A wait is an op's own, so one that is not its lane's head is hurried too."""
    lanes = index((5, 1))
    lanes.take(0.0, 1)
    lanes.postpone(5, 60.0, patient=False)
    lanes.add(3, 1)

    lanes.hurry()

    assert play(lanes) == [3, 5]


def test_a_held_lane_is_kept_back_and_not_counted():
    """What needs a decision is not deliverable, nor is what lies behind it."""
    lanes = index((1, 1), (2, 1), (3, 2))
    lanes.take(0.0, 1)
    lanes.remove(1, hold=True)

    held = (lanes.held, lanes.deliverable, lanes.take(0.0, 9))
    lanes.add(4, 1)
    lanes.free(1)

    assert (held, lanes.deliverable, lanes.take(0.0, 9), lanes.held) == (({1}, 1, [3]), 2, [2], set())


def test_a_lane_may_be_held_before_it_has_an_op():
    """What comes later into a held lane waits; holding twice and freeing what is not held change nothing."""
    lanes = LaneIndex()
    lanes.hold(1)
    lanes.hold(1)
    lanes.add(1, 1)
    lanes.free(2)

    before = (lanes.deliverable, lanes.take(0.0, 9))
    lanes.free(1)
    lanes.free(1)

    assert (before, lanes.deliverable, lanes.take(0.0, 9)) == ((0, []), 1, [1])


def test_an_empty_held_lane_is_forgotten_when_freed():
    """Freeing a lane whose only op was discarded leaves nothing behind."""
    lanes = index((1, 1))
    lanes.take(0.0, 1)
    lanes.remove(1, hold=True)

    lanes.free(1)

    assert (len(lanes), lanes.held, lanes.take(0.0, 9)) == (0, set(), [])


def test_freeing_keeps_the_wait_of_the_head():
    """A decision about one op does not send another one before its time."""
    lanes = index((1, 1))
    lanes.postpone(1, 9.0, patient=False)
    lanes.hold(1)

    lanes.free(1)

    assert (lanes.take(0.0, 1), lanes.next_due(), lanes.take(9.0, 1)) == ([], 9.0, [1])


def test_a_replayed_op_comes_back_at_its_old_place():
    """It goes before everything that was queued after it."""
    lanes = index((1, 1), (2, 1), (3, 1))
    lanes.take(0.0, 1)
    lanes.remove(1, hold=True)

    lanes.add(1, 1)
    lanes.free(1)

    assert play(lanes) == [1, 2, 3]


def test_a_replayed_op_does_not_displace_the_one_that_flies():
    """When the flying op lands it is the one that is forgotten, and the replayed one goes next."""
    lanes = index((1, 1), (5, 1), (6, 1))
    lanes.take(0.0, 1)
    lanes.remove(1)
    flying = lanes.take(0.0, 1)
    lanes.add(1, 1)

    lanes.remove(5)

    assert (flying, 5 in lanes, 1 in lanes, play(lanes)) == ([5], False, True, [1, 6])


def test_a_replayed_op_need_not_wait_for_the_one_behind_it():
    """It goes at once, and the one that waited goes on waiting."""
    lanes = index((5, 1))
    lanes.take(0.0, 1)
    lanes.postpone(5, 60.0, patient=True)
    lanes.add(3, 1)

    gone = play(lanes)

    assert (gone, lanes.next_due(), lanes.take(60.0, 1)) == ([3], 60.0, [5])


def test_the_follower_of_a_flying_op_is_the_next_younger_one():
    """A replayed op that stands before the flying one is not its follower."""
    lanes = index((5, 1), (6, 1), (7, 2))
    lanes.take(0.0, 2)
    lanes.add(3, 1)

    assert (lanes.followers(5, 64), lanes.followers(7, 64)) == ([6], [])


def test_an_op_that_is_given_back_may_go_again():
    """A failed claim leaves no lane behind that nobody makes ready."""
    lanes = index((1, 1), (2, 1))
    lanes.take(0.0, 1)

    lanes.give_back(1)
    lanes.give_back(99)

    assert play(lanes) == [1, 2]


def test_giving_back_what_does_not_fly_changes_nothing():
    """Only the op that flies can be given back, so that none goes twice."""
    lanes = index((1, 1), (2, 1))
    lanes.take(0.0, 1)
    lanes.postpone(1, 9.0, patient=False)

    lanes.give_back(1)

    assert (lanes.take(0.0, 9), lanes.take(9.0, 9)) == ([], [1])


def test_a_wait_for_an_op_behind_the_head_begins_when_it_is_the_head():
    """Waits that were read from the file hold for any op."""
    lanes = index((1, 1), (2, 1))
    lanes.postpone(2, 9.0, patient=False)

    first = lanes.take(0.0, 9)
    lanes.remove(1)

    assert (first, lanes.take(0.0, 9), lanes.take(9.0, 9)) == ([1], [], [2])


@pytest.mark.parametrize("lanes_in_use", [1, 50])
def test_the_last_place_is_the_highest_that_was_ever_known(lanes_in_use):
    """It does not go back when ops are settled, nor when an old one returns."""
    lanes = index(*((seq, seq % lanes_in_use) for seq in range(1, 101)))

    play(lanes)
    lanes.add(3, 3)

    assert lanes.last_seq == 100


def test_counting_does_not_look_at_every_lane():
    """The number of deliverable ops is asked in every turn, so it is kept, not computed."""
    lanes = index(*((seq, seq) for seq in range(1, 2001)))
    touched = []

    class Watched(dict):
        def values(self):
            touched.append(1)
            return super().values()

    lanes._lane, lanes._state = Watched(lanes._lane), Watched(lanes._state)

    assert (lanes.deliverable, lanes.take(0.0, 3), lanes.deliverable, touched) == (2000, [1, 2, 3], 2000, [])


@pytest.mark.parametrize("lanes_in_use", [1, 50, 2000])
def test_the_garbage_collector_has_nothing_to_look_at(lanes_in_use):
    """However much waits, the index has no more objects than an empty one that a full collection goes through."""
    lanes = LaneIndex.of((seq, seq % lanes_in_use, None, False) for seq in range(1, 5001))
    lanes.remove_delivered(lanes.take(0.0, 40))
    lanes.take(0.0, 40)

    large = [name for name, held in vars(lanes).items() if gc.is_tracked(held) and len(held) > 0]
    assert large in ([], ["_ready"])


def test_an_index_made_at_once_is_the_one_that_grows():
    """Whatever waits, it goes in the same turns from an index that was made of all rows as from one that was told."""
    dice = random.Random(11)
    for _ in range(200):
        rows, places = [], sorted(dice.sample(range(1, 100), 20))
        for seq in places:
            after = dice.choice([None, None, None, *[row[0] for row in rows[-3:]]])
            rows.append((seq, dice.randrange(6), after, dice.random() < 0.2))
        told = LaneIndex()
        for seq, lane, after, passable in rows:
            told.add(seq, lane, after, passable=passable)
        made = LaneIndex.of(rows)

        assert (len(made), made.deliverable, made.last_seq) == (len(told), told.deliverable, told.last_seq)
        while turn := made.take(0.0, 3):
            assert told.take(0.0, 3) == turn
            for seq in turn:
                made.remove(seq)
                told.remove(seq)
        assert len(made) == len(told) == 0


def test_the_held_lanes_are_known():
    """Those that were let go or have nothing left are none of them."""
    lanes = LaneIndex.of([(1, 7, None, False), (2, 8, None, False)])

    lanes.hold(7)
    lanes.hold(9)
    before = lanes.held
    lanes.free(7)
    lanes.remove(2, hold=True)

    assert (before, lanes.held) == ({7, 9}, {8, 9})


def test_what_is_delivered_together_lets_go_what_waited_for_it():
    """The next of its lane and what comes after it in another lane may go, and a lane that is empty is gone."""
    lanes = index((1, 7), (2, 8), (3, 7))
    lanes.add(4, 9, after=2)
    first = lanes.take(0.0, 9)

    lanes.remove_delivered(first)

    assert (first, lanes.take(0.0, 9), len(lanes)) == ([1, 2], [3, 4], 2)


def test_an_op_that_comes_back_goes_before_one_that_may_pass():
    """Which op was to go is thought of anew when another comes to stand before it."""
    lanes = index((6, 1))
    lanes.add(5, 1, passable=True)
    lanes.postpone(5, 60.0, patient=True)
    lanes.add(3, 1)

    assert lanes.take(0.0, 9) == [3]


def test_what_may_pass_goes_as_soon_as_what_it_comes_after_is_delivered():
    """An op behind one that waits and lets others pass does not wait for that one too."""
    lanes = index((2, 2))
    lanes.add(1, 1, passable=True)
    lanes.add(3, 1, after=2)
    taken = lanes.take(0.0, 9)
    lanes.postpone(1, 60.0, patient=True)
    lanes.remove(2)

    assert (sorted(taken), lanes.take(0.0, 9)) == ([1, 2], [3])
