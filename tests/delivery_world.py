"""What the delivery machine plays with: a server in memory, a loop on which waiting is free, and its processes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from functools import partial
from types import NoneType

from outlast.engines.backoff import Backoff
from outlast.engines.merge_patch import apply_patch
from outlast.errors import AuthenticationError, LeaseHeldError, LeaseLostError
from outlast.events import EventBus
from outlast.outbox import (
    Accepted,
    Applied,
    AuthNeeded,
    Busy,
    Coalescing,
    DeliveryPolicy,
    Found,
    Gone,
    InDoubt,
    LeaseConfig,
    Missing,
    NotApplied,
    Outbox,
    Rejected,
    Stale,
    Verb,
)
from outlast.sync_engine import CallableTransport, ConflictPolicy, OnDuplicate, Runner
from outlast.testing import VirtualLoop

# The beat is a thread's, in real time; here nothing lives that long.
LEASE = LeaseConfig(beat_every=1e6, ttl=1e9)
POLICY = DeliveryPolicy(backoff=Backoff.fixed(0.2), key_ttl=1e12, accepted_for=1e12)
PATIENCE = 20.0
"""Virtual seconds of one delivery; it looks at the file four times in each, which takes real time."""
MERGE = ConflictPolicy(on_duplicate=OnDuplicate.MERGE)

INSTEAD = {
    "not-sent": NotApplied("no route"), "lost": InDoubt("cut"), "busy": Busy("503"),
    "slow-down": Busy("429", 1.0, whole_origin=True), "unknown": AuthNeeded("401"), "rejected": Rejected("422"),
    "accepted": Accepted("job"),
}  # fmt: skip
"""What the server says instead of doing what it is asked for."""
LOST = {"answer-lost": InDoubt("cut"), "failed-after": Busy("500", in_doubt=True)}
"""What is heard of it when it has done that."""
BEFORE = {"slow", "hang", "crash", "edit"}
"""What happens before the server acts."""
AFTER = {"crash-after", "taken-over", "write"}
"""What happens before the answer comes."""


class Loop(VirtualLoop):
    """Do at once what is given to another thread; the outbox's own threads are waited for by itself."""

    def run_in_executor(self, executor, function, *arguments):
        """Run it here."""
        future = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def meet(before, after, held):
    """Merge an edit with what is held, by plain dicts; None for what somebody must decide."""
    if held in (before, after):
        return [after]
    if after is None or held is None:
        return None
    merged = {}
    for name in {**(before or {}), **after, **held}:
        base, ours, theirs = ((side or {}).get(name) for side in (before, after, held))
        if ours not in (base, theirs) and theirs != base:
            return None
        value = theirs if ours in (base, theirs) else ours
        if value is not None:
            merged[name] = value
    return [merged]


def next_key(key):
    """Return the key of what is sent instead."""
    outbox, place, generation = key.split(":")
    return f"{outbox}:{place}:{int(generation) + 1}"


class Server:
    """Hold notes with versions, do what each key asks once, and break as the script says."""

    def __init__(self):
        self.notes, self.versions = {}, defaultdict(int)
        self.answers, self.requests = {}, {}
        self.effects = []
        """(place, key, entity, what was held before, what is held now) of each effect."""
        self.script, self.wrong = [], []
        self.verdicts = {}
        """By place, what plain dicts make of the last refusal: [the merged note], or None for a conflict."""
        self.late = defaultdict(list)
        """The same, as processes found it out that were being replaced; until they are, it is recorded."""
        self.edits = {}
        """By place, what the author saw and what came of it; nothing for who did not say what he saw."""
        self.merged = {}
        """By key, the same for what is sent instead after a merge or a decision."""
        self.stirred = set()
        """Entities of which a write was refused, so that replaying them does not tell what they hold."""

    def tag(self, entity):
        return f'"{self.versions[entity]}"'

    def edit(self, entity, note):
        """Hold something else, as somebody else would have it."""
        self.notes[entity] = note
        self.versions[entity] += 1

    async def send(self, process, op):
        """Answer an op that a process sends."""
        step = self.script.pop(0) if self.script else ("ok",)
        self._note(op)
        if step[0] in INSTEAD:
            return INSTEAD[step[0]]
        if step[0] in BEFORE:
            await process.interrupt(*step)
        answer = self.apply(process, op)
        if step[0] in AFTER:
            await process.interrupt(*step)
        return LOST.get(step[0], answer)

    async def poll(self, process, op, url):
        """Say what has become of an accepted op."""
        step = self.script.pop(0) if self.script else ("ok",)
        match step[0]:
            case "busy" | "lost" | "not-sent":
                return Busy("still at it")
            case "rejected":
                return Rejected("failed")
            case _:
                return self.apply(process, op)

    async def read_back(self, process, op):
        """Show a note, and note what plain dicts would make of it."""
        held = self.notes.get(op.entity)
        edit = self.edit_of(op)
        if edit is None:
            self.stirred.add(op.entity)
        else:
            found = [held] if self._wanted(op, held) else meet(*edit, held)
            self._judge(process, op, found)
            if found is not None and next_key(op.key) not in self.answers:
                self.merged[next_key(op.key)] = held, *found
        if held is None:
            return Missing()
        return Found(self._wanted(op, held), self.tag(op.entity), json.dumps(held).encode())

    def _judge(self, process, op, found):
        if process.successor is None:
            self.verdicts[op.seq] = found
        else:
            self.late[op.seq].append(found)

    def forget(self, seq):
        """Forget what was found out about an op."""
        self.verdicts.pop(seq, None)
        self.late.pop(seq, None)

    def edit_of(self, op):
        """Return what an op was made of, and what it is to make of that."""
        return self.merged.get(op.key, self.edits.get(op.seq))

    def _wanted(self, op, held):
        """Tell whether a note holds all that an op says."""
        if op.body is None or held is None:
            return op.body is None and held is None
        return all(held.get(name) == value for name, value in json.loads(op.body).items())

    def _note(self, op):
        """See to it that a key never stands for two requests."""
        request = (op.verb, op.body, op.if_match, op.entity)
        if self.requests.setdefault(op.key, request) != request:
            self.wrong.append(f"{op.key} stands for {self.requests[op.key]} and {request}")

    def apply(self, process, op):
        """Do what an op asks for, once for each key."""
        if op.key in self.answers:
            return self.answers[op.key]
        if process.successor is None:
            self.forget(op.seq)  # it is judged anew
        held = self.notes.get(op.entity)
        if op.verb is Verb.POST:
            return self._done(op, held, held)
        if op.if_match not in {None, self.tag(op.entity)} or (op.verb is Verb.CREATE and held is not None):
            return Stale("412")
        if held is None and op.verb in {Verb.PATCH, Verb.DELETE}:
            if op.verb is Verb.PATCH:
                self._judge(process, op, None)
                self.stirred.add(op.entity)
            return Gone("404")
        body = None if op.body is None else json.loads(op.body)
        return self._done(op, held, apply_patch(held, body) if op.verb is Verb.PATCH else body)

    def _done(self, op, held, note):
        edit = self.edit_of(op)
        if edit is not None and op.verb is not Verb.POST and (held, note) != edit:
            self.wrong.append(f"{op.key} made {note} of {held}, and its author had {edit} in mind")
        self.effects.append((op.seq, op.key, op.entity, held, note))
        if op.verb is not Verb.POST:
            self.edit(op.entity, note)
        self.answers[op.key] = Applied(self.tag(op.entity) if note is not None else None)
        return self.answers[op.key]


class Process:
    """Have an outbox open, deliver from it, and vanish."""

    def __init__(self, place, loop, server, story):
        self.place, self.loop, self.server, self.story = place, loop, server, story
        self.going = self.successor = None

    async def open(self):
        """Open the outbox."""
        self.box = await Outbox.open(
            self.place, durability="process", clock=self.loop.clock, bus=EventBus(), coalescing=Coalescing()
        )

    async def reopen(self):
        """End in order and start again."""
        await self.box.aclose()
        await self.open()

    async def deliver(self):
        """Deliver until nothing is left that could be, or until something ends it."""
        self.crashed = asyncio.Event()
        server = self.server
        send, read_back, poll = (partial(act, self) for act in (server.send, server.read_back, server.poll))
        transport = CallableTransport(send, read_back=read_back, poll=poll)
        run = Runner(self.box, transport, policy=POLICY, lease=LEASE, conflicts=MERGE, concurrency=3)
        try:
            await run.__aenter__()
        except LeaseHeldError:
            # Who took over from a frozen process and died has left no other proof than that it beats no more.
            self.let_go()
            await run.__aenter__()
        self.going = asyncio.create_task(self._until_idle(run))
        crash = asyncio.create_task(self.crashed.wait())
        await asyncio.wait((self.going, crash), return_when=asyncio.FIRST_COMPLETED)
        crash.cancel()
        if self.crashed.is_set():
            await self._vanish(run)
        else:
            await run.__aexit__(None, None, None)
            error = self.going.exception()
            if not isinstance(error, NoneType | LeaseLostError | AuthenticationError | TimeoutError):
                raise error
        self.going = None
        if self.successor is not None:
            await self.successor
            self.successor = None

    async def _until_idle(self, run):
        async with asyncio.timeout(PATIENCE):
            await run.run_until_idle()

    async def _vanish(self, run):
        """Leave everything as a process does that is killed, and start another one."""
        tasks = [self.going, *run._loop._flying]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        run._lease._stop.set()
        run._lease._beats.join()
        run._lease._lock.release()
        await self.reopen()

    def let_go(self):
        """Let the time pass after which a lease may be taken over."""
        self.place.execute("UPDATE $lease SET beat = beat - 1e10")

    async def interrupt(self, step, *arguments):
        """Let something happen while an op is on the wire."""
        match step:
            case "crash" | "crash-after":
                self.crashed.set()
                await asyncio.sleep(1e6)
            case "slow":
                await asyncio.sleep(PATIENCE / 4)
            case "hang":
                await asyncio.sleep(1e6)
            case "write":
                await self.story.write(*arguments)
            case "edit":
                self.story.edit(*arguments)
            case "taken-over":
                other = next(one for one in self.story.processes if one is not self)
                if self.successor is None and other.going is None:
                    self.let_go()
                    self.successor = asyncio.create_task(other.deliver())
                    await asyncio.shield(self.successor)
