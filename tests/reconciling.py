"""What the tests of reconciling share: a server that holds versions of notes, and writes of note a."""

import json

from outlast.outbox import Applied, Found, Gone, Missing, Stale, Verb, Write
from outlast.sync_engine import CallableTransport


class Notes:
    """Hold JSON notes with versions, check preconditions, and keep each write with its key."""

    def __init__(self, **notes):
        self.notes = {name: (1, body) for name, body in notes.items()}
        self.log = []
        self.before = {}

    def edit(self, name, **fields):
        """Change a note as somebody else would."""
        version, body = self.notes.get(name, (0, {}))
        self.notes[name] = (version + 1, {**body, **fields})

    async def act(self, op):
        """Apply an op, or refuse it."""
        self.before.pop(len(self.log), lambda: None)()
        self.log.append((op.key, op.verb.value, op.if_match, None if op.body is None else json.loads(op.body)))
        held = self.notes.get(op.entity)
        if op.verb is Verb.CREATE and held is not None:
            return Stale("412")
        if held is None and op.verb in {Verb.PATCH, Verb.PUT, Verb.DELETE}:
            return Gone("404")
        if op.if_match is not None and op.if_match != f'"{held[0]}"':
            return Stale("412")
        if op.verb is Verb.DELETE:
            del self.notes[op.entity]
            return Applied()
        body = json.loads(op.body)
        whole = {**held[1], **body} if op.verb is Verb.PATCH else body
        version = 1 if held is None else held[0] + 1
        self.notes[op.entity] = (version, whole)
        return Applied(f'"{version}"')

    async def read_back(self, op):
        """Return what a note holds."""
        held = self.notes.get(op.entity)
        if held is None:
            return Missing()
        version, body = held
        wanted = None if op.body is None else json.loads(op.body)
        equal = wanted is not None and all(body.get(name) == value for name, value in wanted.items())
        return Found(equal, f'"{version}"', json.dumps(body).encode())

    @property
    def transport(self):
        """Make a transport of it."""
        return CallableTransport(self.act, read_back=self.read_back)

    def body(self, name="a"):
        """Return what a note holds, None for nothing."""
        return self.notes[name][1] if name in self.notes else None


def write(verb, body=None, **options):
    """Make a write of note a."""
    raw = None if body is None else json.dumps(body).encode()
    if "base" in options:
        options["base"] = json.dumps(options["base"]).encode()
    return Write(verb=verb, kind="note", entity="a", body=raw, **options)


BASE = {"title": "t", "done": False}


MINE = {"title": "mine", "done": False}
