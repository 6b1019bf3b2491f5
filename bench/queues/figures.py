"""What a benchmark of the outbox found: figures, each with its bar, and the ratios of rounds that took turns."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Args:
        part: Which part of the benchmark it belongs to.
        what: What was measured.
        value: The figure that counts, mostly a ratio.
        unit: `x` for a ratio, or the unit.
        bar: What the project has set itself, or None for information.
        least: Whether the bar is the least, not the most.
        note: What the ratio was made of.
    """

    part: str
    what: str
    value: float
    unit: str = "x"
    bar: float | None = None
    least: bool = True
    note: str = ""

    @property
    def met(self):
        """Tell whether the bar is met, None without one."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.least else self.value <= self.bar

    def row(self):
        """Return it as a row of a Markdown table."""
        bar = "" if self.bar is None else f"{'at least' if self.least else 'at most'} {self.bar:g}"
        verdict = {None: "", True: "met", False: "**not met**"}[self.met]
        return f"| {self.what} | {shown(self.value)} {self.unit} | {bar} | {verdict} | {self.note} |"


def shown(number):
    """Return a number with as many digits as are worth something."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.2f}" if number >= 0.1 else f"{number:.3f}"


def in_turns(rounds, **contestants):
    """Let each contestant run once in every round; return the rates of each after one round of warming up.

    Args:
        rounds: How many rounds.
        **contestants: Functions that do some work and return how much they did in a second.
    """
    rates = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            rate = work()
            if number:
                rates[name].append(rate)
    return rates


def ratio(ours, theirs):
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def rates_note(rates):
    """Tell the median rates, for orientation."""
    return ", ".join(f"{name} {statistics.median(found):,.0f}/s" for name, found in rates.items())


def percentile(values, share):
    """Return the value below which a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
