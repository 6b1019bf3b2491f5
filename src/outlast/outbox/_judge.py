"""Carry claimed ops and judge what came back, with all that must be read or asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final, NamedTuple, cast, get_args

from outlast.clock import Clock, Random
from outlast.engines.batches import (
    Batch,
    BatchItem,
    BatchLimits,
    TooLarge,
    grown,
    halve,
    halved,
    judge_items,
    make_batches,
    spread,
)
from outlast.engines.delivery import Course, after_asking, after_look, after_sending, may_be_applied
from outlast.engines.op import (
    Answer,
    Applied,
    AuthNeeded,
    Busy,
    Compare,
    Conflict,
    Deliver,
    DeliveryPolicy,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    Postpone,
    ReadBack,
    Rejected,
    Stale,
    Step,
    Unreadable,
    compare,
)
from outlast.engines.reconcile_records import ConflictPolicy
from outlast.outbox._records import Claimed, Op, SealedRequest, Term
from outlast.outbox._routes import Route
from outlast.outbox._transport import Batching, Polling

_TOO_LARGE: Final = 413
_ANSWERS: Final[tuple[type[Answer], ...]] = get_args(Answer)
_READ_BACKS: Final[tuple[type[ReadBack], ...]] = get_args(ReadBack)
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "reason": (str,), "etag": (str,), "url": (str,), "body": (bytes,), "retry_after": (float, int),
}  # fmt: skip
"""What the fields of these are, by name."""


@dataclass(frozen=True, slots=True)
class Disputed:
    """Hold an op that the server refused because it holds something else.

    Args:
        op: The op.
        answer: What the server said.
        found: What reading back gave, or None when there was nothing to read.
        step: What that means when nobody has a policy: the conflict inbox.
        policy: What its route wants done about it, or None for what the runner says of its kind.
    """

    op: Op
    answer: Stale | Gone
    found: ReadBack | None
    step: Conflict
    policy: ConflictPolicy | None = None


Reconcile = Callable[[Disputed], Awaitable[Step]]
"""Settle a conflict, or leave it to a person by giving back its step."""


class Judged(NamedTuple):
    """Hold what became of one attempt.

    Args:
        claimed: The attempt.
        step: What is to be recorded.
        answer: What came back, None when nothing was sent; `AuthNeeded` also when it could not be read back for that.
        doubt: Whether the op may have taken effect, when it goes on.
    """

    claimed: Claimed
    step: Step
    answer: Answer | None
    doubt: bool

    @property
    def patient(self) -> bool:
        """Tell whether the server has asked for the wait, so that its recovery does not cut it short."""
        return isinstance(self.answer, Busy) and self.answer.retry_after is not None

    @property
    def taken(self) -> bool:
        """Tell whether the server has taken the credentials, as far as that is known."""
        seen = self.answer is not None or isinstance(self.step, Deliver)
        return seen and not isinstance(self.answer, AuthNeeded)

    @property
    def refused(self) -> bool:
        """Tell whether a refusal was forgiven."""
        return isinstance(self.answer, Rejected) and isinstance(self.step, Postpone)


class Judge:
    """Carry claimed ops, one alone or several in one request.

    Args:
        policy: Backoff, budgets and limits.
        reconcile: What settles conflicts. Default: they go to the inbox.
        clock: Where the time comes from.
        random: Where jitter comes from.
        term: Says whose requests these are now.
    """

    def __init__(
        self,
        policy: DeliveryPolicy,
        reconcile: Reconcile | None,
        clock: Clock,
        random: Random,
        term: Callable[[], Term],
    ) -> None:
        self._policy = policy
        self._reconcile = reconcile
        self._clock = clock
        self._random = random
        self._term = term
        self._limits: dict[int, BatchLimits] = {}

    async def carry(self, route: Route, claimed: Claimed, told: Callable[[Answer], None]) -> Judged:
        """Carry one op and judge it.

        Args:
            route: How it travels.
            claimed: The op.
            told: Called with the answer as soon as it is there.
        """
        if claimed.course is Course.MERGE:
            return await self.judge(route, claimed, Stale("the write before it became something else"))
        if claimed.course not in {Course.SEND, Course.ASK}:
            found = await self._read_back(route, claimed)
            step = after_look(
                self._policy, claimed.course, claimed.op.verb, claimed.attempt, found, chance=self._random.random()
            )
            if step is not None:
                refused = AuthNeeded(found.reason) if isinstance(found, Unreadable) and found.unauthorized else None
                return Judged(claimed, step, refused, doubt=True)
        answer = await (self._ask(route, claimed) if claimed.course is Course.ASK else self._send(route, claimed))
        told(answer)
        return await self.judge(route, claimed, answer)

    def at_once(self, claims: Sequence[Claimed], answers: Mapping[int, Answer]) -> list[Judged]:
        """Say what the answers to ops that were sent mean, but for those where something must be read or asked first.

        Args:
            claims: The ops; each was sent.
            answers: What came back, by place.
        """
        judged: list[Judged] = []
        applied: dict[str | None, Step] = {}
        for claimed in claims:
            answer = answers[claimed.op.seq]
            if isinstance(answer, Applied):
                # `after_sending` makes the same of it whatever the op and its history are.
                step = applied.get(answer.etag) or self._first_step(claimed, answer)
                applied[answer.etag] = step
                judged.append(Judged(claimed, step, answer, True))
                continue
            step = self._first_step(claimed, answer)
            if not isinstance(step, Compare | Conflict):
                judged.append(Judged(claimed, step, answer, may_be_applied(answer, doubt=claimed.history.doubt)))
        return judged

    def _first_step(self, claimed: Claimed, answer: Answer) -> Step:
        verb, chance = claimed.op.verb, self._random.random()
        if claimed.course is Course.ASK:
            return after_asking(self._policy, verb, claimed.attempt, answer, chance)
        wall = self._clock.wall()
        return after_sending(self._policy, verb, claimed.attempt, answer, claimed.history, wall=wall, chance=chance)

    async def judge(self, route: Route, claimed: Claimed, answer: Answer) -> Judged:
        """Say what an answer means, after reading and asking whatever that takes."""
        verb, step = claimed.op.verb, self._first_step(claimed, answer)
        doubt, found = may_be_applied(answer, doubt=claimed.history.doubt), None
        if isinstance(step, Compare):
            found = await self._read_back(route, claimed)
            doubt = doubt and not isinstance(found, Found | Missing)
            chance = self._random.random()
            step = compare(self._policy, verb, claimed.attempt, found, chance=chance, reason=step.reason)
        if isinstance(step, Conflict) and isinstance(answer, Stale | Gone) and self._reconcile is not None:
            step = await self._reconcile(Disputed(claimed.op, answer, found, step, route.conflicts))
        return Judged(claimed, step, answer, doubt)

    async def _send(self, route: Route, claimed: Claimed) -> Answer:
        request = self._signed(claimed.request)
        return _checked(await _tried(lambda: route.transport.send(claimed.op, request), InDoubt))

    def _signed(self, request: SealedRequest) -> SealedRequest:
        return request._replace(term=self._term())

    async def _ask(self, route: Route, claimed: Claimed) -> Answer:
        transport, url = route.transport, claimed.status_url or ""
        if not isinstance(transport, Polling):
            return Gone("the transport cannot ask about it")
        return _checked(await _tried(lambda: transport.poll(claimed.op, claimed.request, url), InDoubt))

    async def _read_back(self, route: Route, claimed: Claimed) -> ReadBack:
        found = await _tried(lambda: route.transport.read_back(claimed.op, claimed.request), Unreadable)
        wrong = _wrong(found, _READ_BACKS)
        return Unreadable(f"the transport returned {found!r}; {wrong}") if wrong else found

    def limits(self, route: Route) -> BatchLimits | None:
        """Return how large a batch of a route may be now, None when its ops travel alone."""
        wanted = route.transport.batch_limits if isinstance(route.transport, Batching) else None
        return None if wanted is None else self._limits.get(id(route.transport), wanted)

    def cut(self, route: Route, claims: Sequence[Claimed]) -> list[list[Claimed]]:
        """Return ops of a route as they may travel together."""
        limits = self.limits(route)
        together = [one for one in claims if limits is not None and one.course is Course.SEND]
        if limits is None or len(together) <= 1:
            return [[one] for one in claims]
        batches = make_batches(_items(together), limits)
        alone = [[one] for one in claims if one.course is not Course.SEND]
        rest = iter(together)
        return [list(islice(rest, len(batch))) for batch in batches] + alone

    async def carry_batch(self, route: Route, claims: Sequence[Claimed]) -> Mapping[int, Answer]:
        """Carry several ops in one request, or in smaller ones where that is too large; return each one's answer."""
        answer = await self._send_batch(route, claims)
        if isinstance(answer, Mapping):
            self._grow(route)
            return answer if _all_applied(claims, answer) else judge_items(_items(claims), answer)
        if isinstance(answer, Rejected) and answer.status == _TOO_LARGE:
            batch = _items(claims)
            parts = halve(batch)
            if isinstance(parts, TooLarge):
                return await self._send_alone(route, claims)
            self._limits[id(route.transport)] = halved(self.limits(route) or BatchLimits(), batch)
            middle = len(parts[0])
            found = await self.carry_batch(route, claims[:middle])
            return {**found, **await self.carry_batch(route, claims[middle:])}
        if isinstance(answer, Stale | Gone):
            return await self._send_alone(route, claims)
        return spread(_items(claims), answer)

    async def _send_alone(self, route: Route, claims: Sequence[Claimed]) -> Mapping[int, Answer]:
        """Send each by itself: that there is no place for batches, or not for this one, says nothing of any entity."""
        return {one.op.seq: await self._send(route, one) for one in claims}

    def _grow(self, route: Route) -> None:
        known = self._limits.get(id(route.transport))
        wanted = route.transport.batch_limits if isinstance(route.transport, Batching) else None
        if known is not None and wanted is not None:
            self._limits[id(route.transport)] = grown(known, wanted)

    async def _send_batch(self, route: Route, claims: Sequence[Claimed]) -> Mapping[int, Answer] | Answer:
        transport, term = route.transport, self._term()
        assert isinstance(transport, Batching)  # noqa: S101 - `cut` makes batches for no other
        parcels = [(one.op, one.request._replace(term=term)) for one in claims]
        answer = await _tried(lambda: transport.send_batch(parcels), InDoubt)
        if not isinstance(answer, Mapping):
            return _checked(answer)
        return {seq: _checked(one) for seq, one in cast("Mapping[int, Any]", answer).items()}


def whole(answers: Mapping[int, Answer]) -> Answer:
    """Return the answer by which an origin is judged that was sent a batch: any that shows that it lives."""
    found = list(answers.values())
    return next((one for one in found if not isinstance(one, NotApplied | InDoubt | AuthNeeded)), found[0])


def _all_applied(claims: Sequence[Claimed], answers: Mapping[int, Answer]) -> bool:
    """Tell whether `judge_items` would leave every answer as it is."""
    return all(isinstance(answers.get(one.op.seq), Applied) for one in claims)


def _items(claims: Sequence[Claimed]) -> Batch:
    return tuple(BatchItem(one.op.seq, one.op.lane, len(one.request.body or b"")) for one in claims)


async def _tried(call: Callable[[], Awaitable[Any]], failed: Callable[[str], Any]) -> Any:
    """Return what a transport gives, or what stands for its error.

    Cancel: goes through; but one that comes from the transport itself is an error as any other.
    """
    try:
        return await call()
    except Exception as error:
        return failed(f"the transport raised {type(error).__name__}: {error}")
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return failed("the transport gave up: something that it waited for was cancelled")


def _checked(answer: Any) -> Answer:
    wrong = _wrong(answer, _ANSWERS)
    return InDoubt(f"the transport returned {answer!r}; {wrong}") if wrong else answer


def _wrong(found: Any, kinds: tuple[type, ...]) -> str:
    """Return what is wrong with a record that nobody has checked the types of, empty if nothing is."""
    if not isinstance(found, kinds):
        return f"that is none of {', '.join(kind.__name__ for kind in kinds)}"
    made = cast("type[Any]", type(found))
    for name, kind in _CHECKED.get(made) or _fields_of(made):
        value: object = getattr(found, name)
        if not isinstance(value, kind) and (value is not None or name == "reason"):
            return f"its {name} is of the type {type(value).__name__}"
        if isinstance(value, str) and name != "reason" and not _storable(value):
            return f"its {name} is no text that can be stored"
    return ""


def _fields_of(kind: type[Any]) -> tuple[tuple[str, tuple[type, ...]], ...]:
    return tuple((one.name, _FIELDS[one.name]) for one in fields(kind) if one.name in _FIELDS)


_CHECKED: Final[Mapping[type[Any], tuple[tuple[str, tuple[type, ...]], ...]]] = {
    kind: _fields_of(kind) for kind in (*_ANSWERS, *_READ_BACKS)
}


def _storable(text: str) -> bool:
    return "\0" not in text and text.encode(errors="replace").decode() == text
