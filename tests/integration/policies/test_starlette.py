"""Dependencies by name in a real Starlette application."""

import contextlib

import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from outlast.errors import CircuitOpenError
from outlast.policies import depends_on_bulkhead, depends_on_circuit_breaker, depends_on_slot
from outlast.registry import Registry


@pytest.fixture
def client():
    """An application whose routes share a breaker and a bulkhead by name."""
    registry = Registry()
    breaker = depends_on_circuit_breaker("payments", registry=registry, failure_threshold=2)
    bulkhead = depends_on_bulkhead("payments", registry=registry, max_concurrent=4)
    slot = contextlib.asynccontextmanager(depends_on_slot("payments", registry=registry))

    async def charge():
        raise ConnectionError

    async def pay(request):
        async with slot() as held:
            busy = held.utilisation
            try:
                await breaker().acall(charge)
            except ConnectionError:
                return JSONResponse({"busy": busy}, 502)

    async def status(request):
        # FastAPI calls plain dependencies in its thread pool.
        found = await run_in_threadpool(bulkhead)
        return JSONResponse({"state": breaker().state, "busy": found.utilisation, "waiting": found.queue_depth})

    async def refused(request, error):
        return JSONResponse({"retry_after": round(error.retry_after)}, 503)

    routes = [Route("/pay", pay), Route("/status", status)]
    return TestClient(Starlette(routes=routes, exception_handlers={CircuitOpenError: refused}))


def test_requests_share_what_has_a_name(client):
    """Failures of several requests open one circuit, and the bulkhead's state is readable from another route."""
    assert client.get("/status").json() == {"state": "closed", "busy": 0.0, "waiting": 0}
    assert [client.get("/pay").json() for _ in range(2)] == [{"busy": 0.25}] * 2
    answer = client.get("/pay")

    assert (answer.status_code, answer.json()) == (503, {"retry_after": 30})
    assert client.get("/status").json() == {"state": "open", "busy": 0.0, "waiting": 0}
