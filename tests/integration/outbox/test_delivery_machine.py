"""Any story of two processes, one outbox and one server, on both stores, judged by plain dicts."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from delivery_world import AFTER, BEFORE, INSTEAD, LOST, Loop, Process, Server, next_key
from outlast.engines.merge_patch import apply_patch
from outlast.errors import ConfigError
from outlast.outbox import OpState, Verb, Write

MOST = {"sqlite": 25, "postgres": 7} if settings().derandomize else {"sqlite": 2000, "postgres": 400}
NAMED, BLIND = ("a", "b"), ("x",)
WHO = st.sampled_from([0, 1])
ENTITIES = st.sampled_from(["a", "a", "b", "x"])
FIELDS = st.sampled_from(["p", "q"])
DOING = st.tuples(
    st.sampled_from([Verb.PUT, Verb.PATCH, Verb.PUT, Verb.PATCH, Verb.DELETE, Verb.CREATE, Verb.POST]), FIELDS
)
ENDS = ("crash", "crash-after", "taken-over", "taken-over")
BREAKS = st.sampled_from(["ok", *INSTEAD, *LOST, *sorted(BEFORE - {"edit"}), *sorted(AFTER - {"write"}), *ENDS]).map(
    lambda name: (name,)
)
WRITES = st.tuples(st.just("write"), WHO, ENTITIES, DOING, st.booleans())
EDITS = st.tuples(st.just("edit"), st.sampled_from(NAMED), st.sampled_from(["p", "q", "new", "gone"]))
SCRIPT = st.lists(st.one_of(BREAKS, BREAKS, WRITES, EDITS), min_size=1, max_size=5)


class Story(RuleBasedStateMachine):
    """Let two processes queue and deliver through everything, and compare with what plain dicts say.

    The author of a write of `a` or `b` says what he saw, and others edit these too. Writes of `x` and `y` say nothing,
    and nobody else edits them: they must come to what replaying them one after the other comes to.
    """

    def __init__(self, place):
        super().__init__()
        self.loop, self.server = Loop(), Server()
        self.processes = [Process(place, self.loop, self.server, self) for _ in range(2)]
        for process in self.processes:
            self.loop.run_until_complete(process.open())
        self.value = 0
        self.server.edit("a", {"p": 0})
        self.seen = dict.fromkeys(NAMED, (None, None))
        """By entity, the version and the content of the last look at the server or of the last own write."""
        self.acknowledged = {}
        """By place, the entity."""
        self.raw = []
        """(place, entity, verb, body) of each write that says nothing of what its author saw."""
        self.discarded = set()
        self._look("a")

    def next(self):
        self.value += 1
        return self.value

    # What users do.

    async def write(self, who, entity, doing, ignorant):
        """Queue a write."""
        verb, field = doing
        change = {field: self.next()}
        if entity in BLIND:
            await self._queue(who, Write(verb=verb, kind="note", entity=entity, body=_body(verb, change)), None)
            return
        box = self.processes[who].box
        if ignorant or (self.seen[entity][0] is None and not await self._waits(box, entity)):
            self._look(entity)
        etag, note = self.seen[entity]
        if note is None:
            verb = Verb.CREATE
        elif verb is Verb.CREATE:
            verb = Verb.PUT
        if verb is Verb.POST:
            return
        after = None if verb is Verb.DELETE else {**(note or {}), **change}
        body = _body(verb, change if verb is Verb.PATCH else after)
        base = None if note is None else json.dumps(note).encode()
        etag = None if verb is Verb.CREATE else etag
        write = Write(verb=verb, kind="note", entity=entity, body=body, if_match=etag, base=base)
        await self._queue(who, write, (note, after))

    async def _queue(self, who, write, edit):
        core = self.processes[who].box.core
        try:
            (queued,) = await core.aenqueue([write])
        except ConfigError:
            return  # it is at odds with what waits, and nobody was told otherwise
        self.acknowledged[queued.seq] = write.entity
        if edit is None:
            self.raw.append((queued.seq, write.entity, write.verb, write.body))
            return
        before = edit[0]
        if queued.how == "merged":
            # Folding keeps the oldest base; what it folds into must be what the author saw.
            before, left = self.server.edits[queued.seq]
            assert left == edit[0]
        self.server.edits[queued.seq] = before, edit[1]
        self.seen[write.entity] = self.seen[write.entity][0], edit[1]

    async def _waits(self, box, entity):
        return any(op.entity == entity for op in await box.pending("note"))

    def _look(self, entity):
        note = self.server.notes.get(entity)
        self.seen[entity] = (None if note is None else self.server.tag(entity)), note

    def edit(self, entity, what):
        """Change a note as somebody else does."""
        note = self.server.notes.get(entity)
        if what == "gone":
            if note is not None:
                self.server.edit(entity, None)
        else:
            self.server.edit(entity, {**(note or {}), what: self.next()})

    # The rules.

    @rule(writes=st.lists(st.tuples(WHO, ENTITIES, DOING, st.booleans()), min_size=1, max_size=4))
    def enqueue(self, writes):
        for write in writes:
            self.loop.run_until_complete(self.write(*write))

    @rule(
        writes=st.lists(st.tuples(WHO, ENTITIES, DOING, st.booleans()), min_size=1, max_size=4),
        edits=st.lists(EDITS, max_size=2),
        who=WHO,
        script=SCRIPT,
    )
    def work(self, writes, edits, who, script):
        """Queue, while others edit, and deliver through whatever happens."""
        self.enqueue(writes)
        for _, *edit in edits:
            self.edit(*edit)
        self.deliver(who, script)

    @rule(entity=st.sampled_from(NAMED), what=st.sampled_from(["p", "q", "new", "gone"]))
    def somebody_else_edits(self, entity, what):
        self.edit(entity, what)

    @rule(entity=st.sampled_from(NAMED))
    def pull(self, entity):
        if not self.loop.run_until_complete(self._waits(self.processes[0].box, entity)):
            self._look(entity)

    @rule(who=WHO, script=SCRIPT)
    def deliver(self, who, script):
        self.server.script[:] = script
        self.loop.run_until_complete(self.processes[who].deliver())
        self.server.script.clear()
        self.check()

    @rule(who=WHO, hours=st.integers(-100, 100))
    def reopen_when_the_clock_has_jumped(self, who, hours):
        self.loop.clock.jump_wall(hours * 3600)
        self.loop.run_until_complete(self.processes[who].reopen())

    def parked(self):
        """Return all that waits for a decision."""
        box = self.processes[0].box
        found = [self.loop.run_until_complete(box.list(state)) for state in (OpState.CONFLICT, OpState.DEAD)]
        return sorted((status for some in found for status in some), key=lambda status: status.seq)

    @rule(who=WHO, number=st.integers(0, 3), changed=st.booleans())
    def replay(self, who, number, changed):
        for status in self.parked()[number : number + 1]:
            options = {}
            parked = self.loop.run_until_complete(self._parked(status.seq))
            shown = json.loads(parked.theirs or b"{}").get("etag")
            # Somebody decides by what the inbox shows, if that is still so; else he would have to be asked again.
            unchanged = status.entity in NAMED and shown == self.server.tag(status.entity)
            if changed and unchanged and status.verb is Verb.PUT:
                held = self.server.notes[status.entity]
                body = {**held, "p": self.next()}
                options = {"body": body, "if_match": shown}
                self.server.merged[next_key(parked.op.key)] = held, body
            self.loop.run_until_complete(self.processes[who].box.replay(status.seq, **options))
            self.server.forget(status.seq)

    @rule(who=WHO, number=st.integers(0, 3))
    def discard(self, who, number):
        for status in self.parked()[number : number + 1]:
            self._discard(who, status)

    async def _parked(self, seq):
        return await self.processes[0].box.conflict(seq)

    def _discard(self, who, status):
        self.loop.run_until_complete(self.processes[who].box.discard(status.seq))
        self.discarded.add(status.seq)

    # What must hold.

    def check(self):
        """Compare the outbox and the server with what was acknowledged."""
        assert self.server.wrong == []
        effects = self.server.effects
        assert len({key for _, key, *_ in effects}) == len(effects)
        for entity in (*NAMED, *BLIND):
            places = [seq for seq, _, one, *_ in effects if one == entity]
            assert places == sorted(places)
        self.loop.run_until_complete(self._check_each())

    async def _check_each(self):
        box = self.processes[0].box
        for seq, entity in self.acknowledged.items():
            if seq in self.discarded:
                continue
            status = await box.ticket(seq).status()  # raises LookupError for what was lost
            verdict = self.server.verdicts.get(status.seq, "none")
            if status.state is OpState.CONFLICT and entity in NAMED:
                parked = await self._parked(status.seq)
                late = self.server.late.get(status.seq, ())
                assert verdict in (None, "none") or None in late or parked.op.rounds >= 5
            if status.state is OpState.DELIVERED:
                made = [(key, note) for one, key, _, _, note in self.server.effects if one == status.seq]
                assert made or verdict is not None  # a process that was replaced may have found out more since
                if entity in NAMED and made:
                    key, note = made[-1]
                    assert note == self.server.merged.get(key, self.server.edits[status.seq])[1]

    def teardown(self):
        self.server.script.clear()
        for _ in range(60):
            self.loop.run_until_complete(self.processes[0].deliver())
            self.check()
            parked = self.parked()
            if not parked:
                break
            for status in parked:
                self._discard(0, status)
        counts = self.loop.run_until_complete(self.processes[0].box.counts())
        assert (counts.open, counts.conflict, counts.dead) == (0, 0, 0)
        self.check_replayed()
        for process in self.processes:
            self.loop.run_until_complete(process.box.aclose())
        self.loop.close()

    def check_replayed(self):
        """Compare notes that only these processes write with what the writes come to one after the other."""
        effects = {seq for seq, *_ in self.server.effects}
        for entity in BLIND:
            note = None
            for seq, one, verb, body in self.raw:
                if one != entity or (seq in self.discarded and seq not in effects):
                    continue
                change = None if body is None else json.loads(body)
                if verb is Verb.PATCH:
                    note = None if note is None else apply_patch(note, change)
                elif verb is not Verb.POST:
                    note = change
            if entity not in self.server.stirred:
                assert self.server.notes.get(entity) == note


def _body(verb, content):
    return None if verb is Verb.DELETE else json.dumps(content).encode()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_any_story_of_delivery(store, request, tmp_path_factory):
    """Nothing acknowledged is lost or doubled, lanes keep their order, and the inbox holds the true conflicts."""
    from stores import PostgresPlace, SqlitePlace

    def story():
        if store == "sqlite":
            return Story(SqlitePlace(tmp_path_factory.mktemp("story") / "app.db"))
        return Story(PostgresPlace(request.getfixturevalue("postgres_server")))

    run_state_machine_as_test(
        story,
        settings=settings(max_examples=MOST[store], stateful_step_count=14, suppress_health_check=list(HealthCheck)),
    )
