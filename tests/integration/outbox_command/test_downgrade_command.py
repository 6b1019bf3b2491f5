"""`outlast outbox doctor --downgrade`: what it says, what it leaves alone, and the code that it ends with."""


def test_it_is_brought_down_or_told_why_not(outbox, filled):
    """What stands against it is named with code 14, then nothing is changed; else an older layout is there."""
    refused = outbox("doctor", filled, "--downgrade", 1)
    listed = outbox("doctor", filled, "--downgrade", 1, "--json").json
    before = outbox("list", filled, "--json").json
    done = outbox("doctor", filled, "--downgrade", 2)
    after = outbox("list", filled)

    assert (refused.code, done.code, after.code) == (14, 0, 8)
    assert "1 writes name what they are based on: 4" in refused.out
    assert "deliver or discard them first" in refused.out
    assert (listed["layout"], listed["done"], len(before["writes"])) == (1, False, 5)
    assert "start the older one next" in done.out
    assert "layout 2 of an older outlast" in after.err


def test_its_mistakes(outbox, filled):
    """A layout that is none is refused, and it goes with nothing else."""
    assert "must be from 1 to 2" in outbox("doctor", filled, "--downgrade", 3).err
    assert "one at a time" in outbox("doctor", filled, "--downgrade", 2, "--new-epoch").err
