r"""An example notes API to be broken: ETags, preconditions, idempotency keys, and a ledger of every applied change.

    python -m outlast.lab.notes_api --db notes.db --notes 100
    {"listening": 38711}

`GET /notes/{id}` answers 200 with a strong ETag, 304 or 404. `PUT` stores a JSON object that has at least `write` (an
id of the write, chosen by the client) and `text`; it honours If-None-Match and If-Match, and answers 201, 200 or 412.
`DELETE` answers 204, 404 or 412; its write id is the idempotency key. With an `Idempotency-Key`, a repeat gets the
first answer again and `Idempotent-Replayed: true`; the key with another request gets 422. Errors are problem+json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outlast.lab._notes import Answer, Change, Plant, problem, seeded_note, write_body
from outlast.lab._notes_book import NotesBook
from outlast.lab.workload import WARM_NOTES

_BACKLOG: Final = 512
Handler = Callable[[Request], Awaitable[Response]]


def create_app(book: NotesBook, *, notes: int = 0, neighbour_every: float | None = None) -> Starlette:
    """Return the API over these notes; the book is closed when the app shuts down.

    Args:
        book: Where the notes are kept.
        notes: How many seeded notes there are, for the neighbour to edit. Default 0.
        neighbour_every: Seconds between two edits by another client. Default none.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        edits = None
        if neighbour_every is not None and notes:
            edits = asyncio.create_task(_neighbour(book, notes, neighbour_every))
        yield
        if edits is not None:
            edits.cancel()
            await asyncio.wait([edits])
        book.close()

    routes = [
        Route("/notes/{note}", _reader(book), methods=["GET"]),
        Route("/notes/{note}", _writer(book), methods=["PUT"]),
        Route("/notes/{note}", _deleter(book), methods=["DELETE"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _as_problem})


def _reader(book: NotesBook) -> Handler:
    async def read(request: Request) -> Response:
        note = request.path_params["note"]
        stored = book.read(note)
        if stored is None:
            return _response(problem(404, f"there is no note {note}"))
        headers = {"etag": stored.etag}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if "*" in known or stored.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(stored.body, 200, headers, media_type="application/json")

    return read


def _writer(book: NotesBook) -> Handler:
    async def write(request: Request) -> Response:
        body = await request.body()
        try:
            change = _change(request, _write_id(body), body.decode())
        except ValueError as error:
            return _response(problem(400, str(error)))
        return _response(book.apply(change))

    return write


def _deleter(book: NotesBook) -> Handler:
    async def delete(request: Request) -> Response:
        return _response(book.apply(_change(request, request.headers.get("idempotency-key", "unnamed"), "")))

    return delete


def _change(request: Request, write: str, body: str) -> Change:
    headers = request.headers
    return Change(
        request.method,
        request.path_params["note"],
        write,
        body,
        if_match=headers.get("if-match"),
        if_none_match=headers.get("if-none-match"),
        key=headers.get("idempotency-key"),
    )


def _write_id(body: bytes) -> str:
    """Return the member `write` of a body; ValueError says what is wrong with it."""
    try:
        value: Any = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not (isinstance(value, dict) and isinstance(value.get("write"), str) and "text" in value):  # pyright: ignore[reportUnknownMemberType] - foreign JSON
        raise ValueError("the body is to be an object with at least `write`, a string, and `text`")
    return str(value["write"])  # pyright: ignore[reportUnknownArgumentType] - checked above


def _response(answer: Answer) -> Response:
    media_type = "application/json" if answer.body else None
    headers = dict(answer.headers)
    return Response(answer.body, answer.status, headers, media_type=headers.get("content-type", media_type))


async def _as_problem(request: Request, error: Exception) -> Response:
    """Answer what the router refuses (no such path, no such method) as a problem too."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _response(problem(status, f"{request.method} {request.url.path} is not to be had here"))


async def _neighbour(book: NotesBook, notes: int, every: float) -> None:
    """Edit the warm notes in turn, as another client would, so that what readers keep of them grows old."""
    for number in itertools.count():
        await asyncio.sleep(every)
        note, write = seeded_note(number % min(notes, WARM_NOTES)), f"neighbour-{number}"
        book.overwrite(Change("PUT", note, write, write_body(write, f"edit {number} by the neighbour")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    options = _options().parse_args(arguments)
    plant = None if options.plant is None else Plant(options.plant)
    book = NotesBook(options.db, plant=plant)
    book.seed(options.notes)
    app = create_app(book, notes=options.notes, neighbour_every=options.neighbour_every)
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="on", log_level="warning", timeout_graceful_shutdown=1)
    # asyncio turns Nagle's delay off only where the protocol is named.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", options.port))
        # The kernel queues connections from here on, so a client may come before the loop turns.
        listener.listen(_BACKLOG)
        sys.stdout.write(json.dumps({"listening": listener.getsockname()[1]}) + "\n")
        sys.stdout.flush()
        if options.until_eof:
            threading.Thread(target=_end_with_input, daemon=True).start()
        uvicorn.Server(config).run(sockets=[listener])


def _end_with_input() -> None:
    """End this process when whoever started it is gone, however it went."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m outlast.lab.notes_api", description="Serve notes on loopback.")
    parser.add_argument("--db", required=True, type=Path, help="SQLite database file; made when it is missing")
    parser.add_argument("--port", default=0, type=int, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--notes", default=0, type=int, help="how many notes to seed (default: 0)")
    parser.add_argument("--neighbour-every", type=float, metavar="SECONDS", help="edit a seeded note this often")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    parser.add_argument("--plant", choices=[plant.value for plant in Plant], help="put in a bug, to prove it is seen")
    return parser


__all__ = ["create_app", "main"]

if __name__ == "__main__":
    main()
