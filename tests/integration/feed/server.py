"""A server with a feed of changes that shares no code with its clients.

    python server.py            prints {"listening": PORT} and serves until SIGTERM

`/feed` is the feed: a pull, a held pull (`wait`), a stream of server-sent events or a WebSocket. `/control` plants what
a test needs: the members of `Plan`, `append` with a list of events to add, `close` with a code for all WebSockets,
`reset` to begin anew. It answers with what was asked for so far.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field, fields

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


@dataclass
class Plan:
    """What the server does wrong."""

    refuse: list = field(default_factory=list)  # the rungs that it does not offer
    token: str | None = None  # the only token that it takes
    swallow: int = 0  # so many pushes, of those to come, are lost on each connection
    twice: bool = False  # each push is sent two times
    mute: bool = False  # streams carry nothing at all
    heartbeat: float = 1.0  # seconds between comments
    named: bool = True  # whether the events of a stream have ids
    retry: int | None = None  # what streams ask for, in milliseconds
    held: bool = True  # whether long polls are held
    status: int | None = None  # the answer to each pull
    garbage: bool = False  # pulls are answered with a page for people
    mark: str = ""  # stands before each cursor
    drip: float = 0.0  # seconds that each event of a page takes on its way
    astray: bool = False  # each page says that there is more, behind one of two cursors
    deaf: bool = False  # pulls begin at the beginning, whatever the cursor says
    lag: int = 0  # pulls are answered by a copy that is so many events behind, and says so
    hint: bool = False  # pushes say only that something has happened


PLAN = Plan()
LOG = []
ASKED = Counter()
NEWS = asyncio.Condition()
OPEN = {}


def refused(rung, request):
    """Count a request, and say why it is refused, if it is."""
    ASKED[rung] += 1
    if PLAN.token is not None and request.headers.get("authorization") != f"Bearer {PLAN.token}":
        return 401
    if rung in PLAN.refuse:
        return 404
    return None


async def feed(request):
    """Answer what is asked over HTTP."""
    if "text/event-stream" in request.headers.get("accept", ""):
        return await stream(request)
    hold = request.query_params.get("wait")
    refusal = refused("poll" if hold is None else "long-poll", request)
    if refusal is None and hold is None:
        refusal = PLAN.status
    if refusal is not None:
        return PlainTextResponse("no", refusal, {"location": "http://portal.example/login?back=17"})
    if PLAN.astray:
        cursor = "1" if request.query_params.get("cursor") == "0" else "0"
        return JSONResponse({"events": [], "cursor": cursor, "more": True})
    if PLAN.garbage:
        return PlainTextResponse("<html>Welcome! Please log in to the network.</html>")
    after = 0 if PLAN.deaf else place(request.query_params.get("cursor", "0"))
    if hold is not None and PLAN.held:
        await news(after, float(hold))
    known = LOG[: len(LOG) - PLAN.lag]
    events = known[after : after + int(request.query_params.get("limit", 100))]
    last = min(after, len(known)) + len(events)
    page = {"events": events, "cursor": f"{PLAN.mark}{last}", "more": last < len(known)}
    page |= {"seq": last} if PLAN.lag else {}
    return StreamingResponse(dripped(page)) if PLAN.drip else JSONResponse(page)


async def dripped(page):
    """Yield the text of a page as a slow line would carry it."""
    text = json.dumps(page)
    yield text[:1]
    await asyncio.sleep(PLAN.drip * len(page["events"]))
    yield text[1:]


def place(cursor):
    """Return how many events lie before a cursor."""
    return int(cursor.removeprefix(PLAN.mark))


async def news(after, seconds):
    """Wait until there is something behind a place, but not for ever."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), NEWS:
            await NEWS.wait_for(lambda: len(LOG) > after)


async def pushes(after):
    """Yield each event behind a place as it comes, with what was planted; None when it is time for a heartbeat."""
    swallowed = 0
    while True:
        await news(after, PLAN.heartbeat)
        if len(LOG) == after:
            yield None
        for event in LOG[after:]:
            after += 1
            if PLAN.mute:
                continue
            if swallowed < PLAN.swallow:
                swallowed += 1
                continue
            for _ in range(2 if PLAN.twice else 1):
                yield {"hint": True} if PLAN.hint else event


async def stream(request):
    """Send server-sent events behind the last id that the client has seen."""
    refusal = refused("sse", request)
    if refusal is not None:
        return PlainTextResponse("no", refusal)
    resumed = request.headers.get("last-event-id", "").encode("latin-1").decode()
    after = place(resumed or request.query_params.get("cursor", str(len(LOG))))

    async def text():
        yield "" if PLAN.mute else ": welcome\n\n"
        if PLAN.retry is not None:
            yield f"retry: {PLAN.retry}\n\n"
        async for event in pushes(after):
            if event is None:
                yield "" if PLAN.mute else ": still here\n\n"
            else:
                named = f"id: {PLAN.mark}{event.get('seq', '')}\r\n" if PLAN.named else ""
                yield f"{named}data: {json.dumps(event)}\r\n\r\n"

    return StreamingResponse(text(), media_type="text/event-stream")


async def websocket(ws):
    """Send messages from now on, and close with the code that a test asks for."""
    refusal = refused("websocket", ws)
    if refusal == 401:
        await ws.accept()
        await ws.close(4401)
        return
    if refusal is not None:
        await ws.close()
        return
    after = len(LOG)
    await ws.accept()
    listening = asyncio.create_task(ws.receive())
    sending = asyncio.create_task(send_all(ws, after))
    OPEN[ws] = (listening, sending)
    try:
        await asyncio.wait([listening, sending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        del OPEN[ws]
        for task in (listening, sending):
            task.cancel()
        await asyncio.wait([listening, sending])


async def send_all(ws, after):
    """Send what comes."""
    with contextlib.suppress(Exception):
        async for event in pushes(after):
            if event is not None:
                await ws.send_text(json.dumps(event))


async def control(request):
    """Plant, append, and say what was asked for so far."""
    if request.method == "POST":
        told = await request.json()
        if told.pop("reset", False):
            LOG.clear()
            ASKED.clear()
            PLAN.__init__()
        for name in {one.name for one in fields(Plan)} & told.keys():
            setattr(PLAN, name, told[name])
        for ws in list(OPEN) if "close" in told else []:
            await ws.close(told["close"])
        async with NEWS:
            for event in told.get("append", []):
                LOG.append({"seq": len(LOG) + 1, "entity": "", **event})
            NEWS.notify_all()
    return JSONResponse({"asked": dict(ASKED), "length": len(LOG), "open": len(OPEN)})


def main():
    """Serve until SIGTERM."""
    routes = [
        Route("/feed", feed),
        WebSocketRoute("/feed", websocket),
        Route("/control", control, methods=["GET", "POST"]),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), ws="websockets-sansio", log_level="warning", timeout_graceful_shutdown=1
    )
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sys.stdout.write(json.dumps({"listening": sock.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main()
