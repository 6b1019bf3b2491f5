"""The receiver beside a model: whatever is claimed, committed, rolled back, cut off and expired, one effect per key."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.http import Fence, Fenced, New, Receiver, Replay, Reused, StoredResponse

KEYS = st.sampled_from(["a", "b", "c"])
PRINTS = st.sampled_from(["x", "x", "y"])
SCOPES = st.sampled_from(["", "other"])


class Machine(RuleBasedStateMachine):
    """One connection after the other to a file; the model is what a dictionary says."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "app.db"
        self.receiver = Receiver()
        self.kept, self.fences, self.effects, self.runs = {}, {}, [], 0
        self.connect()
        self.receiver.create_tables(self.db)
        self.db.execute("CREATE TABLE effects (run INTEGER)")
        self.forget()

    def connect(self):
        self.db = sqlite3.connect(self.path)
        self.db.execute("PRAGMA synchronous=OFF")

    def forget(self):
        """Begin a new transaction in the model."""
        self.new_kept, self.new_fences, self.new_effects = dict(self.kept), dict(self.fences), list(self.effects)

    @rule(scope=SCOPES, key=KEYS, digest=PRINTS, fence=st.none() | st.integers(0, 3))
    def write(self, scope, key, digest, fence):
        """Receive a request, and do its work if it is new."""
        told = None if fence is None else Fence("box", fence)
        found = self.receiver.claim(self.db, key, digest, scope=scope, fence=told)
        assert found == self.expected(scope, key, digest, fence)
        if isinstance(found, New):
            self.runs += 1
            answer = StoredResponse(200 + self.runs % 100, (("run", str(self.runs)),), bytes([self.runs % 256]))
            self.db.execute("INSERT INTO effects VALUES (?)", [self.runs])
            self.receiver.store(self.db, found, answer)
            self.new_kept[scope, key] = (digest, answer)
            self.new_effects.append(self.runs)

    def expected(self, scope, key, digest, fence):
        """Say what the model says."""
        if fence is not None:
            newest = self.new_fences[scope] = max(fence, self.new_fences.get(scope, 0))
            if newest > fence:
                return Fenced(newest)
        if (scope, key) not in self.new_kept:
            return New(scope, key)
        known, answer = self.new_kept[scope, key]
        return Replay(answer) if known == digest else Reused()

    @rule()
    def commit(self):
        """Make it last."""
        self.db.commit()
        self.kept, self.fences, self.effects = self.new_kept, self.new_fences, self.new_effects
        self.forget()

    @rule()
    def roll_back(self):
        """Undo it."""
        self.db.rollback()
        self.forget()

    @rule()
    def cut_off(self):
        """Lose the connection."""
        self.db.close()
        self.connect()
        self.forget()

    @precondition(lambda self: not self.db.in_transaction)
    @rule(key=KEYS)
    def expire(self, key):
        """Let the time of a key run out."""
        self.db.execute("UPDATE outlast_receipts SET expires_at = 0 WHERE key = ?", [key])
        self.db.commit()
        self.kept = {known: value for known, value in self.kept.items() if known[1] != key}
        self.forget()

    @precondition(lambda self: not self.db.in_transaction)
    @rule(most=st.integers(1, 3))
    def prune(self, most):
        """Tidy up; nothing that is alive goes."""
        assert 0 <= self.receiver.prune(self.db, max_rows=most) <= most

    @invariant()
    def effects_are_those_of_the_model(self):
        """Each key's work took effect as often as the model says."""
        assert [run for (run,) in self.db.execute("SELECT run FROM effects ORDER BY run")] == self.new_effects

    def teardown(self):
        """Close the file."""
        self.db.close()
        self.folder.cleanup()


TestReceiver = Machine.TestCase
TestReceiver.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
