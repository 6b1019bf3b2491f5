"""What holds for lanes whatever comes, waits, is held and goes: nothing is forgotten, and nothing is left behind."""

from __future__ import annotations

import random

from outlast.outbox._lanes import LaneIndex


def settle(lanes, seqs, dice):
    """Let what was taken be delivered, in either way."""
    if dice.random() < 0.5:
        lanes.remove_delivered(seqs)
    else:
        for seq in seqs:
            lanes.remove(seq)


def left_over(lanes):
    """Name what an index still holds."""
    return [name for name, held in vars(lanes).items() if held and name != "last_seq"]


def test_whatever_comes_and_goes_the_heads_go_and_nothing_is_left_behind():
    """Ops come, come back, are withdrawn and delivered: it is always the oldest of each lane, and none is forgotten."""
    dice = random.Random(5)
    for _ in range(200):
        lanes, model, gone = LaneIndex(), [[] for _ in range(3)], []
        for seq in range(1, 60):
            match dice.randrange(5):
                case 0 | 1:
                    lane = dice.randrange(3)
                    lanes.add(seq, lane)
                    model[lane].append(seq)
                case 2 if lying := [(seq, lane) for lane in range(3) for seq in model[lane]]:
                    gone.append(dice.choice(lying))
                    lanes.remove(gone[-1][0])
                    model[gone[-1][1]].remove(gone[-1][0])
                case 3 if gone:
                    back, lane = gone.pop(dice.randrange(len(gone)))
                    lanes.add(back, lane)
                    model[lane] = sorted([*model[lane], back])
                case _:
                    taken = lanes.take(0.0, 9)
                    assert sorted(taken) == sorted(queue.pop(0) for queue in model if queue)
                    settle(lanes, taken, dice)
            assert len(lanes) == sum(map(len, model))
        while taken := lanes.take(0.0, 9):
            assert sorted(taken) == sorted(queue.pop(0) for queue in model if queue)
            settle(lanes, taken, dice)
        assert (model, left_over(lanes)) == ([[], [], []], [])


def test_whatever_waits_goes_at_last_and_nothing_is_left_behind():
    """Ops that fail, wait, let others pass, are held and come after others are all delivered once."""
    dice = random.Random(6)
    for _ in range(200):
        lanes, delivered, now = LaneIndex(), [], 0.0
        for seq in range(1, 30):
            after = seq - 1 if dice.random() < 0.2 and seq - 1 in lanes else None
            lanes.add(seq, dice.randrange(4), after, passable=dice.random() < 0.4)
            for lane in range(4) if dice.random() < 0.2 else ():
                dice.choice([lanes.hold, lanes.free])(lane)
            for taken in lanes.take(now, dice.randrange(4)):
                if dice.random() < 0.6:
                    lanes.postpone(taken, now + dice.randrange(4), patient=dice.random() < 0.5)
                else:
                    delivered.append(taken)
                    settle(lanes, [taken], dice)
            now += dice.randrange(2)
        for lane in range(4):
            lanes.free(lane)
        while taken := lanes.take(now + 100, 9):
            delivered += taken
            settle(lanes, taken, dice)
        lanes.next_due()
        assert sorted(delivered) == list(range(1, 30))
        assert left_over(lanes) == []
