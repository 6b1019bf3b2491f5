"""Hedges in the world of a scenario, and attempts that wait for each other."""

import asyncio
import itertools
import threading

from outlast.policies import Hedge


class Stage:
    """Attempts that wait for each other, told by a plan for each; in the colour of the face."""

    def __init__(self, face, *plans):
        self.plans, self.numbers = plans, itertools.count()
        self.calls, self.ended = [], []
        self.before = set(threading.enumerate())
        self.events = {}
        self.is_async = face.colour == "async"
        self.fn = self.play_async if self.is_async else self.play

    def event(self, name):
        """Return the signal of that name."""
        return self.events.setdefault(name, asyncio.Event() if self.is_async else threading.Event())

    def begin(self, args, kwargs):
        """Write down an attempt and return its plan."""
        number = next(self.numbers)
        self.calls.append((args, kwargs))
        return number, self.plans[number]

    def play(self, *args, **kwargs):
        """Run the next plan in a thread."""
        number, plan = self.begin(args, kwargs)
        try:
            for step in plan[:-1]:
                self.event(step[1:]).set() if step[0] == "!" else self.event(step).wait(10)
            return give(plan[-1])
        finally:
            self.ended.append(number)

    async def play_async(self, *args, **kwargs):
        """Run the next plan in a task."""
        number, plan = self.begin(args, kwargs)
        try:
            for step in plan[:-1]:
                self.event(step[1:]).set() if step[0] == "!" else await self.event(step).wait()
            return give(plan[-1])
        finally:
            self.ended.append(number)

    def release(self):
        """Let the threads that were left behind end, and wait for them."""
        for event in self.events.values():
            event.set()
        for thread in set(threading.enumerate()) - self.before:
            thread.join(10)


def give(outcome):
    """Return a plan's outcome, or raise it."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def make(face, **options):
    """Make a hedge that starts its hedges at once."""
    return Hedge(**{"delay": 0.0, "idempotent": True, **face.around, **options})
