"""Transports of httpx2 that carry a pipeline for each origin, in both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.errors import ConfigError
from outlast.http._call import Call, Sending
from outlast.http._hosts import Hosts, MakePipeline, default_pipeline
from outlast.policies import Policy, remaining


class _OnceBody(httpx2.SyncByteStream):
    """Note when a body that exists only once begins to be read."""

    def __init__(self, body: httpx2.SyncByteStream, call: Call) -> None:
        self._body = body
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        self._call.body_taken = True
        yield from self._body

    def close(self) -> None:
        self._body.close()


class _AsyncOnceBody(httpx2.AsyncByteStream):
    """Note when a body that exists only once begins to be read."""

    def __init__(self, body: httpx2.AsyncByteStream, call: Call) -> None:
        self._body = body
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._call.body_taken = True
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


def _prepared(request: httpx2.Request, body: Any, sending: Sending) -> httpx2.Request:
    headers = httpx2.Headers(request.headers)
    headers.update(sending.headers)
    extensions = dict(request.extensions)
    if sending.left is not None:
        extensions["timeout"] = _clamped(extensions.get("timeout") or {}, sending.left)
    return httpx2.Request(request.method, request.url, headers=headers, stream=body, extensions=extensions)


def _clamped(limits: dict[str, float | None], left: float) -> dict[str, float]:
    known = {name: limits.get(name) for name in ("connect", "read", "write", "pool")}
    return {name: left if limit is None else min(limit, left) for name, limit in known.items()}


def _origin(request: httpx2.Request) -> str:
    url = request.url
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _refuse_inner_retries(inner: Any) -> None:
    retries = getattr(getattr(inner, "_pool", None), "_retries", 0)
    if retries:
        raise ConfigError(
            f"the inner transport retries {retries} times by itself, which multiplies with the pipeline's attempts; "
            "make it with retries=0",
            path="inner",
        )


class _Resilient:
    """Hold what both colours share: the pipelines, and the settings."""

    def __init__(self, inner: Any, pipeline: MakePipeline, max_origins: int, raise_answers: bool, clock: Clock) -> None:  # noqa: FBT001
        _refuse_inner_retries(inner)
        self._hosts = Hosts(pipeline, max_origins)
        self._raise_answers = raise_answers
        self._clock = clock

    def pipelines(self) -> dict[str, Policy]:
        """Return the pipelines by origin, the one used longest ago first."""
        return self._hosts.pipelines()

    def _call(self, request: httpx2.Request) -> Call:
        return Call(request, left=remaining, wall=self._clock.wall)


class ResilientTransport(_Resilient, httpx2.BaseTransport):
    """Send each request through the pipeline of its origin, for `httpx2.Client`.

    Inside of the pipeline an answer of 5xx, 408, 425 or 429 is an error, so that a retry and a circuit breaker see it;
    its Retry-After is the least that is waited. When the pipeline gives up, the caller gets the last answer as usual.
    A request whose effect is in doubt is sent again only by a safe or idempotent method, or with an `Idempotency-Key`
    header; a body that is a stream only until it has been read. Each attempt carries `Outlast-Attempt`, and
    `Outlast-Timeout-Ms` when a `deadline` is in force; httpx2's own limits shrink to what is left.

    The pipeline ends when the headers of the answer are there; the body is read outside of it.

    Args:
        inner: The transport that sends. Default: httpx2's own, without retries.
        pipeline: Makes the policies for an origin such as `https://api.example.com`; it is asked once for each.
            Default: a retry around a circuit breaker, shared by all transports of the process.
        max_origins: Pipelines kept at most, >= 1. Default 100. One that is busy or not closed is never dropped; when
            none can go, further origins share one pipeline.
        raise_answers: Whether the last answer is raised as an error of `outlast.errors` instead. Default False.
        clock: Gives Unix seconds for a Retry-After date. Default: the machine's.

    Raises:
        ConfigError: The inner transport retries by itself, or a number makes no sense.

    Thread-safe: yes.

    >>> answers = iter([httpx2.Response(503, headers={"Retry-After": "0"}), httpx2.Response(200, text="fine")])
    >>> from outlast.policies import Backoff, Retry
    >>> inner = httpx2.MockTransport(lambda request: next(answers))
    >>> transport = ResilientTransport(inner, pipeline=lambda origin: Retry(backoff=Backoff.fixed(0)))
    >>> with httpx2.Client(transport=transport) as client:
    ...     client.get("http://api.example.com/").text
    'fine'
    """

    def __init__(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        pipeline: MakePipeline = default_pipeline,
        max_origins: int = 100,
        raise_answers: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner: httpx2.BaseTransport = httpx2.HTTPTransport() if inner is None else inner
        super().__init__(self._inner, pipeline, max_origins, raise_answers, clock)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request through the pipeline of its origin."""
        call, kept = self._call(request), None
        try:
            kept = answer = self._through(request, call)
            return answer
        finally:
            for unread in call.leftovers(kept):
                unread.close()

    def _through(self, request: httpx2.Request, call: Call) -> httpx2.Response:
        body: Any = request.stream
        if not isinstance(body, httpx2.ByteStream):  # bytes can be sent any number of times
            body = _OnceBody(body, call)
        with self._hosts.use(_origin(request)) as pipeline:
            try:
                answer: httpx2.Response = pipeline.call(self._attempt, request, body, call)
            except Exception as error:
                trouble = error
            else:
                return answer
        try:  # outside of the handler, so that what the caller sees has no context of ours
            answer = call.resolve(trouble, raise_answers=self._raise_answers)
        finally:
            del trouble  # it knows this frame, which should not know it
        return answer

    def _attempt(self, request: httpx2.Request, body: Any, call: Call) -> httpx2.Response:
        sending = call.begin()
        for answer in sending.stale:
            answer.close()
        try:
            answer = self._inner.handle_request(_prepared(request, body, sending))
        except Exception as error:
            raise call.failed(error)  # noqa: B904 - the cause is set where it is another
        good: httpx2.Response = call.answered(answer)
        return good

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncResilientTransport(_Resilient, httpx2.AsyncBaseTransport):
    """Do as `ResilientTransport`, for `httpx2.AsyncClient`.

    Args:
        inner: The transport that sends. Default: httpx2's own, without retries.
        pipeline: Makes the policies for an origin. Default: as for `ResilientTransport`.
        max_origins: Pipelines kept at most, >= 1. Default 100.
        raise_answers: Whether an answer that means trouble is raised. Default False.
        clock: Gives Unix seconds for a Retry-After date. Default: the machine's.

    Raises:
        ConfigError: The inner transport retries by itself, or a number makes no sense.

    Cancel: ends the attempt; every answer is closed, and whether the server acted is in doubt.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        pipeline: MakePipeline = default_pipeline,
        max_origins: int = 100,
        raise_answers: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner: httpx2.AsyncBaseTransport = httpx2.AsyncHTTPTransport() if inner is None else inner
        super().__init__(self._inner, pipeline, max_origins, raise_answers, clock)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request through the pipeline of its origin."""
        call, kept = self._call(request), None
        try:
            kept = answer = await self._through(request, call)
            return answer
        finally:
            for unread in call.leftovers(kept):
                await unread.aclose()

    async def _through(self, request: httpx2.Request, call: Call) -> httpx2.Response:
        body: Any = request.stream
        if not isinstance(body, httpx2.ByteStream):  # bytes can be sent any number of times
            body = _AsyncOnceBody(body, call)
        with self._hosts.use(_origin(request)) as pipeline:
            try:
                answer: httpx2.Response = await pipeline.acall(self._attempt, request, body, call)
            except Exception as error:
                trouble = error
            else:
                return answer
        try:  # outside of the handler, so that what the caller sees has no context of ours
            answer = call.resolve(trouble, raise_answers=self._raise_answers)
        finally:
            del trouble  # it knows this frame, which should not know it
        return answer

    async def _attempt(self, request: httpx2.Request, body: Any, call: Call) -> httpx2.Response:
        sending = call.begin()
        for answer in sending.stale:
            await answer.aclose()
        try:
            answer = await self._inner.handle_async_request(_prepared(request, body, sending))
        except Exception as error:
            raise call.failed(error)  # noqa: B904 - the cause is set where it is another
        good: httpx2.Response = call.answered(answer)
        return good

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
