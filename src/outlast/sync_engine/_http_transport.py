"""Carry ops to an HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.batches import BatchLimits
from outlast.engines.op import (
    Accepted,
    Answer,
    Applied,
    Busy,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    ReadBack,
    Rejected,
    Unreadable,
    Verb,
)
from outlast.errors import Category, ConfigError, Outcome
from outlast.http import FENCE_HEADER, AsyncHttpxClient, Fence, HttpAnswer, HttpClient, NoAnswer, answer_for, etag_of
from outlast.outbox import Op, Parcel, SealedRequest
from outlast.sync_engine._accepted import answer_to_write, progress
from outlast.sync_engine._address import Address, check_route, landing, origin_of, redacted, segment
from outlast.sync_engine._content import holds
from outlast.sync_engine._credentials import (
    Credentials,
    CredentialsLike,
    Headers,
    check_headers,
    headers_of,
    refresh,
    replacing,
)
from outlast.sync_engine._http_batch import HttpBatch, decode_batch, encode_batch

_METHODS: Final = {
    Verb.CREATE: "PUT", Verb.PUT: "PUT", Verb.PATCH: "PATCH", Verb.DELETE: "DELETE", Verb.POST: "POST",
}  # fmt: skip

_NEVER_READABLE: Final = frozenset({*range(300, 400), 400, 403, 405, 406, 501})


class HttpTransport:
    """Carry ops to an HTTP API.

    A create is `PUT` with `If-None-Match: *`, so that nothing is ever overwritten by it; puts, patches
    and deletes carry `If-Match` when the version that they are based on is known. Every request has the
    op's idempotency key. Headers given here are added when a request is sent; they are never stored.

    Args:
        base_url: Where the API is, such as `https://api.example.org/v1/`. A user and password in it are
            sent as an `Authorization` header, and neither stored nor shown.
        route: The path of an entity below it, with `{kind}` and `{entity}`, or a function from the op to
            it. A POST goes to the part before the entity. Default `{kind}/{entity}`.
        headers: Headers to add to each request, or a function that returns them.
        credentials: Says who is calling: a function, awaited or not, that returns headers, or an object with
            `headers()` and `refresh()`. The latter is called once, however many requests were refused with 401;
            meanwhile nothing that shares the object is sent.
        idempotency_header: The header that carries the key, or None for a server that knows none; then a
            POST is refused, because one whose answer is lost could neither be sent again nor be read back.
        fence_header: The header that says which term of which outbox a request belongs to, so that a receiver can
            refuse a runner that was replaced; None to send none. Default `Outbox-Fence`.
        at_least_once: Whether a POST may be doubled, so that it is sent without a key too. Default False.
        batch: How the server takes several requests in one, or None. Default None.
        read_version: Whether to read a version that the answer to a write does not name: one GET more for each
            such write, so that the next one cannot overwrite what others did in between. Default False.
        call_timeout: Seconds for one whole call, and for getting the credentials before it. Default 10.
        client: A client of httpx2 or httpx to use; it is not closed here. Default: an own one.
        http: A shared `HttpClient`, instead of `call_timeout` and `client`; closed with the transport.
        clock: Where the time comes from.

    Raises:
        ConfigError: The address is not an absolute http or https one, the route has unknown fields, or batches would go
            to another server.
    """

    def __init__(
        self,
        base_url: str,
        *,
        route: str | Callable[[Op], str] = "{kind}/{entity}",
        headers: Headers | None = None,
        idempotency_header: str | None = "Idempotency-Key",
        fence_header: str | None = FENCE_HEADER,
        at_least_once: bool = False,
        credentials: CredentialsLike | None = None,
        batch: HttpBatch | None = None,
        read_version: bool = False,
        call_timeout: float = 10.0,
        client: AsyncHttpxClient | None = None,
        http: HttpClient | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        address = Address.parse(base_url)
        self.origin = address.origin
        self._base = address.base
        self._login = address.login
        self._route = check_route(route)
        self._headers: Headers = headers or {}
        self._key_header = idempotency_header
        self._fence_header = fence_header
        self._at_least_once = at_least_once
        self._credentials = credentials
        self._batch = batch
        self._batch_url = self._base if batch is None else self._join(_some(batch.path))
        self._read_version = read_version
        self._call_timeout = call_timeout
        self._http = http or HttpClient(call_timeout=call_timeout, client=client)
        self._clock = clock

    def __repr__(self) -> str:
        """Return the address, and no header: they may be secret."""
        return f"HttpTransport({self._base!r})"

    def seal(self, op: Op) -> SealedRequest:
        """Freeze the request of an op.

        Raises:
            ConfigError: It has no address here, or it is a POST that could only be sent unguarded.
        """
        if op.verb is Verb.POST and self._key_header is None and not self._at_least_once:
            raise ConfigError(
                "a POST to a server without idempotency keys may be doubled; name the server's idempotency_header, "
                "or say at_least_once=True",
                path="idempotency_header",
            )
        headers = [("Content-Type", _content_type(op))] if op.body is not None else []
        if self._key_header is not None:
            headers.append((self._key_header, op.key))
        if op.verb is Verb.CREATE:
            headers.append(("If-None-Match", "*"))
        elif op.if_match is not None:
            headers.append(("If-Match", op.if_match))
        return SealedRequest(method=_METHODS[op.verb], url=self.url_of(op), headers=tuple(headers), body=op.body)

    def url_of(self, op: Op) -> str:
        """Return the absolute address of an op's entity.

        Raises:
            ConfigError: It is no part of a path, lies on another server than this transport speaks to, or is empty.
        """
        if op.target is not None:
            return self._join(_some(op.target))
        if callable(self._route):
            return self._join(_some(self._route(op)))
        return self.address(op.kind, None if op.verb is Verb.POST else op.entity)

    def address(self, kind: str, entity: str | None) -> str:
        """Return the absolute address of an entity, or of its collection when it is None.

        Raises:
            ConfigError: The route is a function, which needs an op, or a name is `.` or `..`.
        """
        if callable(self._route):
            raise ConfigError("a route that is a function knows no address without an op", path="route")
        route = self._route if entity is not None else self._route.partition("{entity}")[0].rstrip("/")
        return self._join(route.format(kind=segment(kind), entity=segment(entity or "")))

    def _join(self, place: str) -> str:
        """Return an absolute address; credentials are sent with it, so it must not lead to somebody else."""
        url = urljoin(self._base, place)
        parts = urlsplit(url)
        if origin_of(parts) != origin_of(urlsplit(self._base)) or "@" in parts.netloc:
            raise ConfigError(f"{redacted(place)!r} does not lie on {self.origin}", path="target")
        return url

    async def credentials(self) -> Mapping[str, str]:
        """Return the headers that are added to each request and never stored.

        Raises:
            ConfigError: One of them cannot be sent.
            Exception: What the function that gives them raises.
        """
        given = self._headers() if callable(self._headers) else self._headers
        return check_headers(replacing(self._login, given, await headers_of(self._credentials)))

    async def _added(self) -> Mapping[str, str] | NotApplied:
        """Return the headers to add to a request, or why it is not sent: without them no byte has left."""
        try:
            async with asyncio.timeout(self._call_timeout):
                return await self.credentials()
        except Exception as error:
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return NotApplied(f"no credentials to send it with: {said}")

    @property
    def account(self) -> object:
        """Return the credentials if new ones can be had; see `Refreshing`."""
        return self._credentials if isinstance(self._credentials, Credentials) else None

    async def refresh(self) -> None:
        """Get new credentials."""
        await refresh(self._credentials)

    @property
    def batch_limits(self) -> BatchLimits | None:
        """Return how large a batch may be; see `Batching`."""
        return None if self._batch is None else self._batch.limits

    async def send(self, op: Op, request: SealedRequest) -> Answer:
        """Send a sealed request once; see `Transport.send`."""
        given = await self._added()
        if isinstance(given, NotApplied):
            return given
        headers = replacing(given, self._fence(request), dict(request.headers))
        result = await self._http.request(request.method, request.url, headers=headers, body=request.body)
        if isinstance(result, NoAnswer):
            return _unanswered(result)
        answer = answer_to_write(result.status, result.headers, result.body, self._clock.wall())
        return await self._with_version(op, request, answer)

    def _fence(self, request: SealedRequest) -> Mapping[str, str]:
        if self._fence_header is None or request.term is None:
            return {}
        return {self._fence_header: Fence(request.term.sender, request.term.fence).header()}

    async def _with_version(self, op: Op, request: SealedRequest, answer: Answer) -> Answer:
        """Return an answer with the version that it does not name, where that is to be read."""
        if not isinstance(answer, Applied) or answer.etag is not None:
            return answer
        if not self._read_version or op.verb is Verb.DELETE:
            return answer
        match await self.read_back(op, request):
            case Found(equal=True, etag=etag):
                return Applied(etag, answer.status)
            case _:  # somebody else was faster, or nobody knows: then there is no version to build on
                return answer

    async def poll(self, op: Op, request: SealedRequest, url: str) -> Answer:
        """Ask about what the server has accepted; see `Polling`.

        A monitor on another server is asked without credentials: they are none of its business.
        """
        del op
        place = landing(request.url, url)
        if place is None:
            return Gone(f"{redacted(url)!r} is no address to ask at")
        ours = origin_of(place) == origin_of(urlsplit(self._base))
        given: Mapping[str, str] | NotApplied = await self._added() if ours else {}
        if isinstance(given, NotApplied):
            return given
        result = await self._http.request("GET", place.geturl(), headers=given)
        if isinstance(result, NoAnswer):
            answer = _unanswered(result)
            # What cannot be asked has not refused: the server had accepted the write.
            return Gone(answer.reason) if isinstance(answer, Rejected) else answer
        answer = progress(result.status, result.headers, result.body, self._clock.wall())
        if isinstance(answer, Busy) and answer.whole_origin and not ours:
            return Accepted(retry_after=answer.retry_after)  # the rest that a monitor wants is no affair of our server
        return answer

    async def send_batch(self, parcels: Sequence[Parcel]) -> Mapping[int, Answer] | Answer:
        """Send several sealed requests in one; see `Batching`."""
        # Whether a server looks at the headers of the whole or of its parts, it finds the fence.
        signed = [
            (op, request._replace(headers=(*request.headers, *self._fence(request).items()))) for op, request in parcels
        ]
        body = None if self._batch is None else encode_batch(signed)
        if self._batch is None or body is None:
            return {op.seq: await self.send(op, request) for op, request in parcels}
        given = await self._added()
        if isinstance(given, NotApplied):
            return given
        headers = replacing({"Content-Type": "application/json"}, given, self._fence(parcels[0][1]))
        result = await self._http.request("POST", self._batch_url, headers=headers, body=body)
        if isinstance(result, NoAnswer):
            return _unanswered(result)
        wall = self._clock.wall()
        if result.status in {HTTPStatus.OK, HTTPStatus.MULTI_STATUS}:
            found = decode_batch(parcels, result.body, wall)
            named = [(op, request, found[op.seq]) for op, request in parcels if op.seq in found]
            return dict(zip(found, await asyncio.gather(*(self._with_version(*one) for one in named)), strict=True))
        return answer_for(result.status, result.headers, result.body, wall)

    async def read_back(self, op: Op, request: SealedRequest) -> ReadBack:
        """Read the entity and compare; see `Transport.read_back`."""
        if op.verb is Verb.POST:
            return Unreadable("a POST has no entity that could be read back", permanent=True)
        given = await self._added()
        if isinstance(given, NotApplied):
            return Unreadable(given.reason)
        result = await self._http.request("GET", request.url, headers=given)
        match result:
            case HttpAnswer(status=404 | 410):
                return Missing()
            case HttpAnswer(status=200, headers=headers, body=body):
                equal = request.body is not None and holds(body, request.body, patch=op.verb is Verb.PATCH)
                return Found(equal, etag_of(headers), body)
            case HttpAnswer(status=status):
                said, never = f"the server answered {status}", status in _NEVER_READABLE
                return Unreadable(said, permanent=never, unauthorized=status == HTTPStatus.UNAUTHORIZED)
            case NoAnswer(reason=reason):
                return Unreadable(reason)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _unanswered(result: NoAnswer) -> Answer:
    match result:
        case NoAnswer(category=Category.INVALID_INPUT, reason=reason):
            return Rejected(reason)
        case NoAnswer(outcome=Outcome.NOT_APPLIED, reason=reason):
            return NotApplied(reason)
        case NoAnswer(reason=reason):
            return InDoubt(reason)


def _some(place: str) -> str:
    """Refuse an empty place, as of a function that forgets to return one: below the base it is the whole API."""
    if not place:
        raise ConfigError(f"{place!r} is no place to send a write to", path="route")
    return place


def _content_type(op: Op) -> str:
    if op.verb is Verb.PATCH and op.content_type == "application/json":
        return "application/merge-patch+json"
    return op.content_type
