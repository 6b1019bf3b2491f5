"""A clock for tests in which something is to seem to take as long as the test says."""


class Stepping:
    """Be a clock on which so much passes between one look and the next; at first no time at all."""

    def __init__(self):
        self.step = self.time = 0.0

    def now(self):
        """Return the time."""
        self.time += self.step
        return self.time
