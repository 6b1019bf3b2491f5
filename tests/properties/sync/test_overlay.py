"""The overlay against a model that knows what the server really has."""

import hypothesis.strategies as st
from hypothesis import example, given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.engines.json_values import ABSENT, same
from outlast.engines.op import Verb
from outlast.engines.overlay import WHOLE, LocalOp, OverlayEngine, Seen, effect_of

PICK = st.integers(0, 1000)
NAMED = st.booleans()


class OverlayMachine(RuleBasedStateMachine):
    """One entity: own edits that wait, are sent, answered or rolled back, strangers, and pulls that take their time."""

    def __init__(self):
        super().__init__()
        self.engine = OverlayEngine()
        self.waiting, self.unanswered, self.rolled_back = [], [], set()
        self.history = [(None, {"start": 0})]  # (own place or None, the value after it)
        self.pulls, self.shadow, self.shadow_at = [], {"start": 0}, 0
        self.ops, self.answered = {}, set()
        self.names_versions = True

    def version(self, at):
        """Return the name of a version of the server's."""
        return f"v{at}" if self.names_versions else None

    @rule(verb=st.sampled_from([Verb.PUT, Verb.PATCH, Verb.PATCH, Verb.DELETE, Verb.CREATE, Verb.POST]), name=NAMED)
    def edit(self, verb, name):
        """Queue an own op."""
        seq = len(self.ops) + 1
        body = None if verb is Verb.DELETE else {f"own{seq if name else ''}": seq}
        self.ops[seq] = LocalOp(seq, "n1", verb, body)
        self.engine.queue(self.ops[seq])
        self.waiting.append(seq)

    @precondition(lambda self: self.waiting)
    @rule()
    def send(self):
        """Let the oldest op take effect on the server; its answer is on the way."""
        seq = self.waiting.pop(0)
        self.history.append((seq, effect_of(self.history[-1][1], self.ops[seq])))
        self.unanswered.append((seq, len(self.history) - 1))

    @precondition(lambda self: self.unanswered)
    @rule()
    def answer(self):
        """Let the oldest answer arrive."""
        seq, at = self.unanswered.pop(0)
        self.engine.acknowledge(seq, self.version(at))
        self.engine.acknowledge(seq, "a second answer changes nothing")
        self.answered.add(seq)

    @precondition(lambda self: self.waiting)
    @rule(pick=PICK)
    def roll_back(self, pick):
        """Take back one op, in the middle or at the end."""
        seq = self.waiting.pop(pick % len(self.waiting))
        assert self.engine.remove(seq) == self.ops[seq]
        assert self.engine.remove(seq) is None
        self.rolled_back.add(seq)

    @rule(value=st.integers(0, 9))
    def stranger(self, value):
        """Let somebody else edit the entity."""
        now = self.history[-1][1]
        self.history.append((None, {"stranger": value} if now is ABSENT else {**now, "stranger": value}))

    @rule()
    def start_pull(self):
        """Take a picture of the server; it lands later, or never."""
        self.pulls.append((self.engine.start_pull(), len(self.history) - 1))

    @precondition(lambda self: self.pulls)
    @rule(pick=PICK)
    def land_pull(self, pick):
        """Let any of the pictures land, in any order; an old one is refused."""
        mark, at = self.pulls.pop(pick % len(self.pulls))
        if self.engine.land("n1", version=self.version(at), mark=mark):
            self.shadow, self.shadow_at = self.history[at][1], at

    @rule()
    def push(self):
        """Let the newest change arrive as an event, with the key if it is our own."""
        seq, value = self.history[-1]
        at = len(self.history) - 1
        if self.engine.land("n1", version=self.version(at), includes=seq):
            self.shadow, self.shadow_at = value, at

    @rule()
    def versions_go_away(self):
        """From now on the server names no versions."""
        self.names_versions = False

    def contained(self):
        """Return the own ops that the shadow really contains."""
        return {seq for seq, _ in self.history[: self.shadow_at + 1] if seq is not None}

    def hidden(self):
        """Return the own ops that are answered, as is one behind them that says all of the entity."""
        last = max((seq for seq in self.answered if self.ops[seq].verb in WHOLE), default=0)
        return {seq for seq in self.answered if seq < last}

    @invariant()
    def never_flickers(self):
        """An own op is visible from the moment that it is queued until it is rolled back or in what was pulled."""
        seen = self.engine.view("n1", self.shadow)
        shown, must = set(seen.local), set(self.ops) - self.rolled_back - self.contained() - self.hidden()
        assert must <= shown
        assert not shown & self.rolled_back
        assert list(seen.local) == sorted(shown)

    @invariant()
    def is_the_shadow_with_the_ops_replayed(self):
        """What is seen is what replaying gives, and never a copy of something older."""
        seen = self.engine.view("n1", self.shadow)
        value = self.shadow
        for seq in seen.local:
            value = effect_of(value, self.ops[seq])
        assert same(seen.value, value)

    @invariant()
    def knows_what_waits(self):
        """What was neither answered nor rolled back is known to wait, and what shows nothing any more is forgotten."""
        assert not any(map(self.engine.op, self.hidden()))
        assert set(self.engine.waiting) == set(self.ops) - self.rolled_back - self.answered
        assert self.engine.entities == ({"n1"} if any(map(self.engine.op, self.ops)) else set())

    def teardown(self):
        """When all is answered and one more pull lands, the user sees what the server has, and nothing is kept."""
        while self.waiting:
            self.send()
        while self.unanswered:
            self.answer()
        assert self.engine.land("n1", mark=self.engine.start_pull())
        seen = self.engine.view("n1", self.history[-1][1])
        assert same(seen.value, self.history[-1][1])
        assert seen.local == ()
        assert not self.engine.entities


OverlayMachine.TestCase.settings = settings(stateful_step_count=30)


class TestOverlay(OverlayMachine.TestCase):
    """Run the machine."""


@given(steps=st.lists(st.sampled_from(["put", "delete", "stranger", "event", "answer"]), max_size=30))
@example(steps=["put", "stranger", "event", "event", "answer"])
@example(steps=["delete", "answer", "event", "stranger", "event"])
@example(steps=["delete", "event", "stranger", "event", "answer"])
def test_a_feed_of_versions_alone_ends_in_what_the_server_has(steps):
    """Events name no keys; nothing own stays over what came after it, however late the answers are."""
    engine, history, landed, answers = OverlayEngine(), [-1], 0, []
    for step in [*steps, *["event", "answer"] * len(steps)]:
        at = len(history)
        match step:
            case "put" | "delete":
                engine.queue(LocalOp(at, "n1", Verb(step), at))
                history.append(at if step == "put" else ABSENT)
                answers.append((at, f"v{at}" if step == "put" else None))
            case "stranger":
                history.append(at)
            case "event" if landed + 1 < at:
                landed += 1
                assert engine.land("n1", version=f"v{landed}", gone=history[landed] is ABSENT)
            case "answer" if answers:
                engine.acknowledge(*answers.pop(0))
            case _:
                pass

    assert engine.view("n1", history[landed]) == Seen(history[-1])
    assert not engine.entities
