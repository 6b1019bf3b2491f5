"""Random histories of one cache on a file, held against a model that knows which values are gone."""

import contextlib
import random

import pytest

from outlast.cache import Memory, SqliteTier
from outlast.registry import Registry

KEYS = ("a", "b", "c")


class History:
    """Play a random history; every value is a number that grows, so "older" can be told by comparing."""

    def __init__(self, face, path, seed):
        self.face = face
        self.path = path
        self.dice = random.Random(seed)
        self.version = 0
        self.source = dict.fromkeys(KEYS, 0)
        self.floor = dict.fromkeys(KEYS, 0)
        self.loads = []
        self.cache = None
        self.open()

    def open(self):
        """Open the cache as a new process would."""
        self.face.registry = Registry()
        self.cache = self.face.make(
            disk=SqliteTier(self.path),
            memory=Memory(max_items=2),
            ttl=self.dice.choice((0.0, 3.0)),
            stale_while_revalidate=self.dice.choice((0.0, 3.0)),
            soft_timeout=self.dice.choice((None, 0.0)),
        )

    def change(self, key):
        """Let the source have a newer value, and nothing older be right any more."""
        self.version += 1
        self.source[key] = self.floor[key] = self.version

    def step(self):
        """Do one thing."""
        key = self.dice.choice(KEYS)
        move = self.dice.choices(
            (self.read, self.peek, self.begin, self.end, self.put, self.remove, self.clear, self.wait, self.restart),
            weights=(5, 3, 4, 4, 3, 3, 1, 3, 1),
        )[0]
        move(key)

    def hangs(self, key):
        """Tell whether a load of that key hangs that a reader of now would join."""
        return any(load[0] == key and load[-1] == self.floor[key] for load in self.loads)

    def read(self, key):
        """Read; now and then the source is down."""
        floor, up = self.floor[key], self.dice.random() < 0.7

        def load(_):
            if not up:
                raise ConnectionError
            return self.source[key]

        if self.hangs(key):
            return  # it would wait for a load that only this test can end
        try:
            assert self.face.read(self.cache, key, load).value >= floor
        except ConnectionError:
            assert not up

    def peek(self, key):
        """Look at what is stored."""
        found = self.face.peek(self.cache, key)
        assert found is None or found.value >= self.floor[key]

    def begin(self, key):
        """Start a load that has read the source and hangs."""
        if self.hangs(key):
            return
        gate, before = self.face.gate(), self.cache.snapshot().loads
        reader = self.face.start(self.cache.read, key, gate.load)
        self.face.entered_or_done(gate, reader)
        if self.cache.snapshot().loads > before:
            gate.wait_entered()
            self.loads.append((key, gate, reader, self.source[key], self.floor[key]))
        else:
            assert reader.result().value >= self.floor[key]

    def end(self, key):
        """Let the oldest hanging load return what it had read, or fail."""
        if not self.loads:
            return
        _, gate, reader, value, floor = self.loads.pop(0)
        gate.end(value if self.dice.random() < 0.7 else ConnectionError())
        with contextlib.suppress(ConnectionError, TimeoutError):  # the clock may have passed the load's limit
            assert reader.result().value >= floor

    def put(self, key):
        """Write a newer value."""
        self.change(key)
        self.face.put(self.cache, key, self.version)

    def remove(self, key):
        """Remove; the source has something newer from then on."""
        self.change(key)
        self.face.remove(self.cache, key)

    def clear(self, _):
        """Remove everything."""
        for key in KEYS:
            self.change(key)
        self.face.clear(self.cache)

    def wait(self, _):
        """Let time pass."""
        self.face.clock.advance(self.dice.choice((0.5, 2.0, 10.0)))

    def restart(self, key):
        """End what hangs, close and open again."""
        while self.loads:
            self.end(key)
        self.face.close(self.cache)
        self.open()


@pytest.mark.parametrize("seed", range(12))
def test_no_removed_or_replaced_value_is_ever_answered(face, tmp_path, seed):
    """Through loads, puts, removals, evictions, failures and restarts, no read answers a value that was gone before."""
    history = History(face, tmp_path / "cache.db", seed)

    for _ in range(150):
        history.step()
    history.restart("a")
