"""The table of keys against a small model: bounded, the least recently used goes, nobody's protection is dropped."""

from collections import OrderedDict

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.errors import BulkheadFullError, CircuitOpenError
from outlast.events import EventBus
from outlast.policies import CircuitBreaker, Pipeline
from outlast.registry import Registry
from outlast.testing import ManualClock

KEYS = st.sampled_from("abcdefg")
MOST = 3


class Entry:
    """What the model knows of a key."""

    def __init__(self):
        self.open = False
        self.inside = 0


class KeyTable(RuleBasedStateMachine):
    """Calls, trips and streams of several keys, in any order."""

    def __init__(self):
        super().__init__()
        breaker = CircuitBreaker(failure_threshold=1, open_for=1e9, clock=ManualClock(), bus=EventBus())
        pipeline = Pipeline("p", breaker, registry=Registry())
        self.keyed = pipeline.keyed(lambda key: key, max_keys=MOST, registry=Registry())
        self.stream = self.keyed(stream)
        self.model = OrderedDict()
        self.evicted = self.refused = 0
        self.streams = []
        self.said = None

    def use(self, key):
        """Say whether the model lets a call of a key in, and take note of it."""
        if key not in self.model and len(self.model) == MOST:
            victim = next((k for k, entry in self.model.items() if not entry.open and not entry.inside), None)
            if victim is None:
                self.refused += 1
                return None
            del self.model[victim]
            self.evicted += 1
        entry = self.model.setdefault(key, Entry())
        self.model.move_to_end(key)
        return entry

    def expect(self, key, call):
        """Run a call and compare what it raises with the model."""
        entry = self.use(key)
        try:
            call()
        except BulkheadFullError:
            assert entry is None
        except CircuitOpenError as refusal:
            assert entry.open
            self.said = refusal.key
        except ConnectionError:
            assert not entry.open
            entry.open = True
        else:
            assert entry is not None
            assert not entry.open

    @rule(key=KEYS)
    def succeed(self, key):
        """A call that succeeds."""
        self.expect(key, lambda: self.keyed.call(lambda _: None, key))

    @rule(key=KEYS)
    def fail(self, key):
        """A call that fails and opens the circuit of its key."""
        self.expect(key, lambda: self.keyed.call(away, key))

    @rule(key=KEYS)
    def open_stream(self, key):
        """A stream that stays open."""
        items = self.stream(key)

        def begin():
            next(items)
            self.streams.append((key, items))
            self.model[key].inside += 1

        self.expect(key, begin)

    @rule()
    def close_stream(self):
        """The oldest stream ends."""
        if self.streams:
            key, items = self.streams.pop(0)
            items.close()
            self.model[key].inside -= 1

    @rule(key=KEYS)
    def reset(self, key):
        """An operator closes the circuit of a key."""
        if key in self.model:
            self.use(key).open = False
            self.keyed.of(key).policies[0].reset()

    @invariant()
    def the_same_keys_in_the_same_order(self):
        """The table holds what the model holds, and has counted the same."""
        snapshot = self.keyed.snapshot()
        assert list(snapshot.members) == list(self.model)
        assert len(self.keyed) <= MOST
        assert (snapshot.evicted, snapshot.refused) == (self.evicted, self.refused)
        assert self.said is None or self.said in "abcdefg"
        assert self.keyed.idle() == all(not entry.open and not entry.inside for entry in self.model.values())


def away(_):
    """Be away."""
    raise ConnectionError


def stream(_):
    """Give items for ever."""
    while True:
        yield 1


TestKeyTable = KeyTable.TestCase
