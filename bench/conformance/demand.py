"""What a demand is, and the register of all of them."""


class Broken(AssertionError):
    """What the row demands is not so; the text says what was seen."""


class NotApplicable(Exception):
    """The library has nothing that the row could be about; the text says what is missing."""


def check(holds, seen):
    """Fail the row unless something holds."""
    if not holds:
        raise Broken(seen)


ROWS = {}


class Row:
    """One demand.

    Args:
        name: Its id, `policy/what`.
        sentence: What is demanded.
        scenario: Plays it.
        colours: In which it makes sense.
        overlap: Whether it is about calls that run side by side.
    """

    def __init__(self, name, sentence, scenario, colours, *, overlap=False):
        self.name, self.sentence, self.scenario, self.colours = name, sentence, scenario, colours
        self.overlap = overlap

    @property
    def policy(self):
        return self.name.partition("/")[0]


def row(name, sentence, colours=("sync", "async"), *, overlap=False):
    """Register a scenario, called with the stage and the adapter."""

    def register(scenario):
        if name in ROWS:
            raise ValueError(name)
        ROWS[name] = Row(name, sentence, scenario, colours, overlap=overlap)
        return scenario

    return register
