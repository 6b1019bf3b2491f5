"""A function of the user decides about what the server refused."""

import asyncio

import pytest

from delivering import deliver, opened, runner, until
from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.errors import LeaseLostError
from outlast.outbox import Counts, OpState, Stale, Verb
from outlast.sync_engine import MergeRules, Resend, Resolution, merge
from reconciling import BASE, Notes, write


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # what is recorded of it has tests on both stores
@pytest.mark.parametrize(
    ("decide", "expected", "state"),
    [
        pytest.param(lambda c: Resolution.DONE, {"title": "theirs", "done": True}, OpState.DELIVERED, id="done"),
        pytest.param(lambda c: Resolution.FAIL, {"title": "theirs", "done": True}, OpState.CONFLICT, id="fail"),
        pytest.param(lambda c: Resolution.RETRY, {"title": "mine", "done": False}, OpState.DELIVERED, id="retry"),
        pytest.param(lambda c: Resend({"title": "new"}), {"title": "new"}, OpState.DELIVERED, id="resend"),
        pytest.param(
            lambda c: merge(c.base, c.ours, c.theirs, MergeRules({"title": lambda f: f"{f.ours}+{f.theirs}"})),
            {"title": "mine+theirs", "done": True},
            OpState.DELIVERED,
            id="merge",
        ),
        pytest.param(
            lambda c: merge(c.base, c.ours, c.theirs),
            {"title": "theirs", "done": True},
            OpState.CONFLICT,
            id="open-merge",
        ),
        pytest.param(
            lambda c: merge(c.base, c.theirs, c.theirs),
            {"title": "theirs", "done": True},
            OpState.DELIVERED,
            id="equal",
        ),
        pytest.param(lambda c: merge(c.theirs, ABSENT, c.theirs), None, OpState.DELIVERED, id="delete"),
        pytest.param(lambda c: 1 / 0, {"title": "theirs", "done": True}, OpState.CONFLICT, id="raises"),
        pytest.param(
            lambda c: Resend({"no": object()}), {"title": "theirs", "done": True}, OpState.CONFLICT, id="no-json"
        ),
        pytest.param(lambda c: "nonsense", {"title": "theirs", "done": True}, OpState.CONFLICT, id="nonsense"),
        pytest.param(lambda c: Resend({1, 2}), {"title": "theirs", "done": True}, OpState.CONFLICT, id="no-json"),
    ],
)
async def test_a_function_of_the_user_decides(place, decide, expected, state):
    """It sees base, ours, theirs and the cause; what it raises is no reason to lose anything."""
    notes, seen = Notes(a=BASE), []
    notes.edit("a", title="theirs", done=True)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE))
        async with runner(box, notes.transport) as run, asyncio.timeout(60):

            @run.resolver("note")
            async def resolve(conflict):
                seen.append(conflict)
                return decide(conflict)

            await run.run_until_idle()
        (conflict,) = seen

        assert (conflict.base, conflict.ours["title"], conflict.theirs["title"]) == (BASE, "mine", "theirs")
        assert (conflict.etag, conflict.verb, conflict.cause) == ('"2"', Verb.PUT, Stale("412"))
        assert (notes.body(), (await box.ticket(1).status()).state) == (expected, state)


async def test_a_resolver_sees_what_is_gone_and_what_is_not_known(place):
    """A patch of what was deleted: theirs is absent, ours is unknown without a base; ours sent again makes it anew."""
    notes, seen = Notes(), []

    def resolve(conflict):
        seen.append((conflict.base, conflict.ours, conflict.theirs))
        return Resend({"title": "again"})

    async with opened(place) as box:
        await box.enqueue(write(Verb.PATCH, {"title": "mine"}))
        await deliver(box, notes.transport, resolvers={"note": resolve})

        assert seen == [(UNKNOWN, UNKNOWN, ABSENT)]
        assert (notes.body(), notes.log[-1][1]) == ({"title": "again"}, "create")


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # the same
async def test_ours_is_sent_again_over_what_is_there(place):
    """A create of what exists is sent over it, on its version, and not as a create that is refused again."""
    notes = Notes(a=BASE)
    async with opened(place) as box:
        await box.enqueue(write(Verb.CREATE, {"title": "mine"}))
        await deliver(box, notes.transport, resolvers={"note": lambda c: Resolution.RETRY})

        assert [entry[1:] for entry in notes.log] == [
            ("create", None, {"title": "mine"}),
            ("put", '"1"', {"title": "mine"}),
        ]
        assert (notes.body(), await box.counts()) == ({"title": "mine"}, Counts(delivered=1))


async def test_a_resolver_has_rounds_as_well(place):
    """One that always wants to send again is stopped."""
    notes = Notes(a=BASE)
    for number in range(20):
        notes.before[number] = lambda number=number: notes.edit("a", count=number)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine"}, if_match='"1"'))
        await deliver(box, notes.transport, resolvers={"note": lambda c: Resolution.RETRY})

        assert (len(notes.log), (await box.counts()).conflict) == (6, 1)


async def test_a_takeover_while_a_resolver_thinks_leaves_the_op_as_it_was(place):
    """What the old holder has decided meanwhile is refused; the new one asks anew, and the effect is one."""
    notes, thinking, asked = Notes(a=BASE), asyncio.Event(), []
    notes.edit("a", title="theirs")

    async def resolve(conflict):
        asked.append(conflict)
        if len(asked) == 1:
            await thinking.wait()
        return Resend({"title": "decided"})

    async with opened(place) as box, opened(place) as other:
        await box.enqueue(write(Verb.PUT, {"title": "mine"}, if_match='"1"'))
        async with runner(box, notes.transport, resolvers={"note": resolve}) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: asked)
            place.execute("UPDATE $lease SET holder = 'other', fence = fence + 1")
            thinking.set()
            with pytest.raises(LeaseLostError):
                await running
        place.execute("UPDATE $lease SET holder = ''")
        await deliver(other, notes.transport, resolvers={"note": resolve})

        assert (len(asked), notes.body(), await box.counts()) == (2, {"title": "decided"}, Counts(delivered=1))
