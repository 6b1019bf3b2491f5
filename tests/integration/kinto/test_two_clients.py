"""Two clients edit the same records of a real server offline, come back in any order, and converge."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_clients import fields, two_clients
from two_users import Edit, discarded, folded, meet, outcomes

from outlast.lab.proxy import DropAnswer, Healthy
from outlast.outbox import Coalescing, Counts

pytestmark = pytest.mark.timeout(120)

START = {"title": "Trip", "note": "x", "stars": 3}
MOST = 6 if settings().derandomize else 200
"""How many scripts are played; each takes two clients, a dozen files and a real server."""
ORDERS = [(0, 1), (1, 0), None]
"""Who comes back first; None for both at the same time."""


async def come_back(clients, order, faults):
    """Let the clients come back, each through a fault."""
    if order is None:
        await asyncio.gather(*(client.come_back(fault) for client, fault in zip(clients, faults, strict=True)))
    else:
        for user in order:
            await clients[user].come_back(faults[user])


async def judge(collection, clients, start, order, *, fold=False):
    """Compare what became of all edits with what plain dicts say; drop what is open, and compare again."""
    records = {*start, *(record for client in clients for record in client.edits)}
    held, left = await collection.held(), {}
    for record in records:
        left[record] = tuple([await client.left(record) for client in clients])
        queues = [[edit for _, edit in client.edits[record]] for client in clients]
        queues = [folded(queue) if fold else queue for queue in queues]
        allowed = outcomes(start.get(record), queues, order)
        assert (held.get(record), left[record]) in allowed, (record, queues)
    for client in clients:
        await client.discard_all()
    for client in clients:
        await client.pull()
    expected = {record: discarded(held.get(record), left[record]) for record in records}
    expected = {record: data for record, data in expected.items() if data is not None}
    assert await collection.held() == expected
    for client in clients:
        assert await client.overlay.items() == await collection.views()
        counts = await client.box.counts()
        assert (counts.open, counts.conflict, counts.dead) == (0, 0, 0)
    return held, left


def change(**fields):
    """Make an edit that changes fields."""
    return lambda seen: {**seen, **fields}


def make(**fields):
    """Make an edit that creates a record."""
    return lambda seen: fields


def remove(seen):
    """Remove a record."""


STORIES = {
    # record: edits of the first user, edits of the second, what the server holds in the end, whose edit is asked about
    "different-fields": ([change(title="A")], [change(note="B")], {"title": "A", "note": "B", "stars": 3}, None),
    "a-field-with-a-rule": ([change(stars=4)], [change(stars=5, note="B")], {**START, "stars": 5, "note": "B"}, None),
    "the-same": ([change(title="C")], [change(title="C")], {**START, "title": "C"}, None),
    "two-deletes": ([remove], [remove], None, None),
    "a-delete-alone": ([remove], [], None, None),
    "equal-creates": ([make(title="C")], [make(title="C")], {"title": "C"}, None),
    "creates-of-different-fields": ([make(title="A")], [make(note="B")], {"title": "A", "note": "B"}, None),
    "chains": (
        [change(title="A"), change(note="A"), change(stars=9)],
        [change(stars=7), change(stars=8)],
        {"title": "A", "note": "A", "stars": 9},
        None,
    ),
    "a-chain-from-nothing": ([make(title="A"), change(note="A"), remove], [], None, None),
    "a-true-conflict": ([change(title="A")], [change(title="B", note="B")], "first", "second"),
    "different-creates": ([make(title="A")], [make(title="B")], "first", "second"),
    "a-delete-and-an-edit": ([remove], [change(note="B")], "first", "second"),
}
NEW = {"equal-creates", "creates-of-different-fields", "a-chain-from-nothing", "different-creates"}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("patch", [False, True], ids=["put", "patch"])
async def test_all_that_can_be_merged_is_and_the_rest_is_asked_about(shared_kinto, tmp_path, order, patch):
    """Whoever comes first and however many answers get lost: both users' edits are there, or one is in the inbox."""
    start = {record: START for record in STORIES if record not in NEW}
    async with two_clients(shared_kinto, tmp_path, start) as (collection, clients):
        for record, (*edits, _, _) in STORIES.items():
            for client, own in zip(clients, edits, strict=True):
                for edit in own:
                    await client.edit(record, edit(fields(await client.overlay.get(record))), patch=patch)
        await come_back(clients, order, [DropAnswer(0.3), DropAnswer(0.3)])
        held, left = await judge(collection, clients, start, order)

        for record, (_, _, result, asked) in STORIES.items():
            if asked is None:
                assert (held.get(record), left[record]) == (result, ((), ())), record
            elif order is not None:
                later = order[1]
                assert (bool(left[record][later]), bool(left[record][1 - later])) == (True, False), record
            else:
                assert sorted(map(len, left[record])) == [0, 1], record


async def test_an_own_success_whose_answer_was_lost_is_no_conflict(shared_kinto, tmp_path):
    """The repeat is refused because of ourselves; reading back shows it, and nothing else is sent."""
    start = dict.fromkeys("abd", START)
    async with two_clients(shared_kinto, tmp_path, start) as (collection, (client, _)):
        await client.edit("a", {**START, "stars": 4})
        await client.edit("b", {**START, "stars": 4}, patch=True)
        await client.edit("c", {"stars": 4})
        await client.edit("d", None)
        coming = asyncio.create_task(client.come_back(DropAnswer(1.0)))
        writes = {}

        def all_applied():
            writes.clear()
            for exchange in client.proxy.exchanges:
                if exchange.method != "GET":
                    writes.setdefault(exchange.path[-1], []).append(exchange)
            return len(writes) == 4 and all(exchanges[0].upstream_status for exchanges in writes.values())

        async with asyncio.timeout(60):
            while not all_applied():  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.005)
            client.proxy.set(Healthy())
            await coming
        all_applied()

        assert await collection.held() == {"a": {**START, "stars": 4}, "b": {**START, "stars": 4}, "c": {"stars": 4}}
        assert await client.box.counts() == Counts(delivered=4)
        for exchanges in writes.values():
            first, *repeats = [exchange.upstream_status for exchange in exchanges if exchange.upstream_status]
            assert first in {200, 201}
            assert set(repeats) <= {404, 412}
            assert repeats
            assert len({exchange.idempotency_key for exchange in exchanges}) == 1


STEPS = st.tuples(st.sampled_from(["title", "note", "stars", "remove"]), st.booleans(), st.booleans())
SCRIPTS = st.lists(st.lists(st.lists(STEPS, max_size=3), min_size=2, max_size=2), min_size=1, max_size=4)


async def play(client, user, record, steps):
    """Let a user edit a record step by step; each field at most once, and nothing after its removal."""
    done = set()
    for what, shared, patch in steps:
        seen = fields(await client.overlay.get(record))
        if what in done or "remove" in done or (what == "remove" and seen is None):
            continue
        done.add(what)
        value = (4 if shared else 5 + user) if what == "stars" else ("same" if shared else f"by {user}")
        await client.edit(record, None if what == "remove" else {**(seen or {}), what: value}, patch=patch)


async def converge(kinto, folder, script, order, *, fold, share):
    """Play a script, and let the judge compare."""
    start = {f"r{number}": START for number in range(0, len(script), 2)}
    options = {"coalescing": Coalescing()} if fold else {}
    async with two_clients(kinto, folder, start, **options) as (collection, clients):
        for number, users in enumerate(script):
            for user, steps in enumerate(users):
                await play(clients[user], user, f"r{number}", steps)
        await come_back(clients, order, [DropAnswer(share)] * 2)
        return await judge(collection, clients, start, order, fold=fold)


@settings(max_examples=MOST)
@given(script=SCRIPTS, order=st.sampled_from(ORDERS), fold=st.booleans(), share=st.sampled_from([0.0, 0.4]))
async def test_any_edits_converge(shared_kinto, tmp_path_factory, script, order, fold, share):
    """Whatever two users do to the same records, in whatever order they come back, folded or not."""
    await converge(shared_kinto, tmp_path_factory.mktemp("play"), script, order, fold=fold, share=share)


@pytest.mark.parametrize("fold", [False, True], ids=["each", "folded"])
async def test_many_edits_converge(shared_kinto, tmp_path, fold):
    """Forty records at once, both clients coming back at the same time through a connection that loses answers."""
    chance = random.Random(41)
    names = ["title", "note", "stars", "stars", "title", "note", "remove"]

    def steps():
        return [(chance.choice(names), chance.random() < 0.6, chance.random() < 0.5) for _ in range(3)]

    script = [[steps(), steps()] for _ in range(40)]
    held, left = await converge(shared_kinto, tmp_path, script, None, fold=fold, share=0.2)

    # Both merges and true conflicts, or it would show little.
    asked = [record for record in left if any(left[record])]
    merged = [record for record, users in enumerate(script) if all(users) and not any(left.get(f"r{record}", [()]))]
    assert len(asked) >= 5
    assert len(merged) >= 5
    assert len(held) >= 20


@pytest.mark.parametrize(
    ("edit", "server", "found"),
    [
        pytest.param(Edit({"a": 1}, {"a": 2}), {"a": 1, "b": 1}, ({"a": 2, "b": 1}, True), id="merged"),
        pytest.param(Edit({"a": 1}, {"a": 2}), {"a": 3}, ({"a": 3}, False), id="conflict"),
        pytest.param(Edit({"a": 1}, None), {"a": 2}, ({"a": 2}, False), id="delete-of-an-edited"),
        pytest.param(Edit({"a": 1}, {"a": 2}), None, (None, False), id="edit-of-a-deleted"),
        pytest.param(Edit({"stars": 1}, {"stars": 2}), {"stars": 3}, ({"stars": 3}, True), id="rule"),
    ],
)
def test_the_observer_knows_a_merge_from_a_conflict(edit, server, found):
    """The plain dicts by which the engine is judged say what one expects."""
    assert meet(edit, server) == found


def test_the_observer_knows_all_mixtures():
    """Of two chains about one field either user may win, and the loser's later edits are held back."""
    first = [Edit({"a": 0}, {"a": 1}), Edit({"a": 1}, {"a": 1, "b": 1})]
    second = [Edit({"a": 0}, {"a": 2})]

    found = outcomes({"a": 0}, (first, second))

    assert ({"a": 1, "b": 1}, ((), tuple(second))) in found
    assert ({"a": 2}, (tuple(first), ())) in found
    assert all(left != ((), ()) for _, left in found)
