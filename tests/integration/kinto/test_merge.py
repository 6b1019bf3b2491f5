"""Two clients edit the records of a real server offline and come back in any order."""

import asyncio
import json
from dataclasses import dataclass
from itertools import count

import pytest

from outlast.engines.op import Deliver, DeliveryPolicy, Gone, Stale, Verb, compare, settle
from outlast.engines.reconcile import after_answer, after_reading
from outlast.engines.reconcile_records import Ask, Discard, Dispute, Fetch, Keep, MergeAndResend, Recreate, Theirs
from outlast.outbox import Op
from outlast.sync_engine import (
    ABSENT,
    UNKNOWN,
    ConflictPolicy,
    HttpTransport,
    MergeRules,
    OnDeleted,
    OnDuplicate,
    Resolution,
    Rule,
)

pytestmark = pytest.mark.timeout(300)

PLACE = "/v1/buckets/geo/collections/subdivisions/records"
RULES = MergeRules({"data.tags": Rule.UNION, "data.stars": Rule.MAX})
# What Kinto adds of its own.
SERVER_FIELDS = frozenset({"permissions", "data.id", "data.last_modified", "data.schema"})
POLICY = ConflictPolicy(merge=RULES, server_fields=SERVER_FIELDS)
START = {"title": "Trip", "tags": ["alps"], "stars": 3, "note": "x"}
SEQS = count(1)


@dataclass
class Client:
    """Somebody who has read a record and edits it without a connection."""

    transport: HttpTransport
    kinto: object
    record: str
    base: object = UNKNOWN
    etag: str | None = None

    async def read(self):
        """Return the record as the server shows it, ABSENT if it is not there."""
        try:
            return await asyncio.to_thread(self.kinto.ask, "GET", f"{PLACE}/{self.record}")
        except AssertionError:
            return ABSENT

    async def go_offline(self):
        """Read the record for the last time."""
        self.base = await self.read()
        if self.base is not ABSENT:
            self.etag = f'"{self.base["data"]["last_modified"]}"'

    def op(self, verb, body, if_match, generation):
        """Return an op under a key of its own."""
        raw = None if body is None else json.dumps(body).encode()
        seq = next(SEQS)
        return Op(
            seq=seq, generation=generation, key=f"k{seq}", lane=1, verb=verb, kind="records", entity=self.record,
            target=None, body=raw, content_type="application/json", if_match=if_match, created_at=0.0,
        )  # fmt: skip

    async def deliver(self, verb, data, policy=POLICY, *, lose_first_answer=False):
        """Send an edit until it is done or somebody must decide; returns what it came to last."""
        body, base, if_match = None if data is None else {"data": data}, self.base, self.etag
        for rounds in range(10):
            op = self.op(verb, body, if_match, rounds)
            request = self.transport.seal(op)
            answer = await self.transport.send(op, request)
            if lose_first_answer and rounds == 0:
                answer = await self.transport.send(op, request)
            found = await self.decide(op, request, answer, Dispute(verb, body, answer, base, rounds), policy)
            match found:
                case MergeAndResend():
                    verb, body, if_match, base = found.verb, found.body, found.if_match, found.base
                case Recreate(body=whole):
                    verb, body, if_match, base = Verb.CREATE, whole, None, ABSENT
                case _:
                    return found
        raise AssertionError("it did not end")

    async def decide(self, op, request, answer, dispute, policy):
        """Ask the engines what an answer means."""
        step = settle(DeliveryPolicy(), op.verb, 1, answer, 0.5)
        if not isinstance(answer, Stale | Gone):
            return Keep(step)
        found = after_answer(policy, dispute, step)
        if isinstance(found, Fetch):
            seen = Theirs(await self.transport.read_back(op, request), await self.read())
            step = compare(DeliveryPolicy(), op.verb, 1, seen.found, chance=0.5, reason=found.reason)
            found = after_reading(policy, dispute, seen, step)
        return found


@pytest.fixture
def clients(shared_kinto):
    """Two clients of one record, which is another in each test."""
    base_url = f"http://127.0.0.1:{shared_kinto.port}/v1/buckets/geo/collections/subdivisions/"
    headers, record = {"Authorization": shared_kinto.credentials}, f"r{next(SEQS)}"
    return [Client(HttpTransport(base_url, headers=headers), shared_kinto, record) for _ in range(2)]


async def start(clients, record=START):
    """Make the record and let both read it."""
    if record is not None:
        await asyncio.to_thread(clients[0].kinto.ask, "PUT", f"{PLACE}/{clients[0].record}", {"data": record})
    for client in clients:
        await client.go_offline()


async def now(clients):
    """Return the record without what Kinto adds, ABSENT if it is not there; both transports are closed."""
    seen = await clients[0].read()
    for client in clients:
        await client.transport.aclose()
    if seen is ABSENT:
        return ABSENT
    return {name: value for name, value in seen["data"].items() if name not in {"id", "last_modified", "schema"}}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("verb", [Verb.PUT, Verb.PATCH])
async def test_edits_of_two_clients_converge(clients, order, verb):
    """Different fields are both kept, the rules settle what they can, in either order and nothing is lost."""
    await start(clients)
    edits = [{"tags": ["alps", "snow"], "stars": 4}, {"tags": ["alps", "ski"], "stars": 5, "note": "y"}]
    for who in order:
        data = {**START, **edits[who]} if verb is Verb.PUT else edits[who]
        assert (await clients[who].deliver(verb, data)).resolution is Resolution.DONE

    assert await now(clients) == {"title": "Trip", "tags": ["alps", "ski", "snow"], "stars": 5, "note": "y"}


async def test_a_true_conflict_is_in_the_inbox_and_nothing_is_overwritten(clients):
    """Both changed the title: the second is asked about, with both values, and the first stays."""
    await start(clients)
    await clients[0].deliver(Verb.PUT, {**START, "title": "A"})
    last = await clients[1].deliver(Verb.PUT, {**START, "title": "B", "stars": 9})

    assert isinstance(last, Ask)
    assert last.report.open_paths == ("data.title",)
    assert (await now(clients))["title"] == "A"


async def test_a_delete_against_an_edit(clients):
    """The edit is not thrown away unless the policy says so."""
    await start(clients)
    await clients[0].deliver(Verb.PATCH, {"stars": 4})

    assert isinstance(await clients[1].deliver(Verb.DELETE, None), Ask)
    forced = ConflictPolicy(merge=MergeRules(deleted=Rule.OURS), server_fields=SERVER_FIELDS)
    assert (await clients[1].deliver(Verb.DELETE, None, forced)).resolution is Resolution.DONE
    assert await now(clients) is ABSENT


@pytest.mark.parametrize(
    ("on_deleted", "kind", "left"),
    [
        (OnDeleted.ASK, Ask, ABSENT),
        (OnDeleted.DISCARD, Discard, ABSENT),
        (OnDeleted.RECREATE, Keep, {**START, "stars": 4}),
    ],
)
async def test_an_edit_against_a_delete(clients, on_deleted, kind, left):
    """It is asked about, dropped, or the record is made again with it."""
    await start(clients)
    await clients[0].deliver(Verb.DELETE, None)
    policy = ConflictPolicy(merge=RULES, server_fields=SERVER_FIELDS, on_deleted=on_deleted)

    last = await clients[1].deliver(Verb.PUT, {**START, "stars": 4}, policy)

    assert isinstance(last, kind)
    assert await now(clients) == left


async def test_two_deletes(clients):
    """The second finds what it wanted."""
    await start(clients)
    for client in clients:
        assert (await client.deliver(Verb.DELETE, None)).resolution is Resolution.DONE

    assert await now(clients) is ABSENT


async def test_a_duplicate_of_a_create(clients):
    """With the same content it is done; with other content it is merged or asked about, and never sent again."""
    await start(clients, None)
    assert (await clients[0].deliver(Verb.CREATE, {"stars": 1})).resolution is Resolution.DONE
    assert (await clients[1].deliver(Verb.CREATE, {"stars": 1})).resolution is Resolution.DONE
    assert isinstance(await clients[1].deliver(Verb.CREATE, {"stars": 2}), Ask)
    policy = ConflictPolicy(merge=RULES, server_fields=SERVER_FIELDS, on_duplicate=OnDuplicate.MERGE)
    assert (await clients[1].deliver(Verb.CREATE, {"stars": 2, "t": "b"}, policy)).resolution is Resolution.DONE

    assert await now(clients) == {"stars": 2, "t": "b"}


@pytest.mark.parametrize("verb", [Verb.PUT, Verb.PATCH])
async def test_a_success_whose_answer_was_lost_is_no_conflict(clients, verb):
    """The repeat is refused because of ourselves; it is recognised and not sent a third time."""
    await start(clients)
    data = {**START, "stars": 4}

    last = await clients[0].deliver(verb, data, lose_first_answer=True)

    assert isinstance(last, Keep)
    assert isinstance(last.step, Deliver)
    assert last.step.etag == f'"{(await clients[0].read())["data"]["last_modified"]}"'
    assert await now(clients) == data
