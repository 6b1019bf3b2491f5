"""A server that misbehaves by a script and keeps a synced ledger of every effect; the standard library alone.

Paths are /WORLD/KIND/ENTITY?w=WRITE. A world whose name begins with `k` honours idempotency keys, any other ignores
them. `/batch` takes several requests in one; parts whose answers the script would cut off its 207 does not mention.
`/_heal` ends the faults, `/_state` tells what every entity holds.
"""

import argparse
import asyncio
import contextlib
import email.utils
import hashlib
import json
import logging
import os
import sys
import time
from urllib.parse import parse_qs, urlsplit

from faults import fault_of, latency, refuses_always

WORDS = {
    200: "OK", 201: "Created", 204: "No Content", 207: "Multi-Status", 307: "Temporary Redirect", 404: "Not Found",
    409: "Conflict", 412: "Precondition Failed", 422: "Unprocessable", 429: "Too Many Requests", 500: "Error",
    503: "Away",
}  # fmt: skip
LATER = 0.08
IN_PROGRESS = b'{"type":"https://example.org/idempotency/in-progress"}'


class Request:
    """One request: its parts, and what names it."""

    def __init__(self, method, target, headers, body):
        self.method, self.target, self.body = method, target, body
        self.headers = {name.lower(): value for name, value in headers.items()}
        parts = urlsplit(self.target)
        self.path = parts.path
        self.write = parse_qs(parts.query).get("w", [""])[0]
        self.world = self.path.split("/")[1]
        self.key = self.headers.get("idempotency-key") if self.world.startswith("k") else None
        self.match = self.headers.get("if-match")
        self.print = hashlib.sha256(f"{self.method} {self.target} {self.match}".encode() + body).hexdigest()

    @classmethod
    def read(cls, head, body):
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        return cls(method, target, {name: value for name, _, value in (line.partition(": ") for line in rest)}, body)

    def parts(self):
        """Yield the requests that came in this one, each under its id and with the bytes of its body."""
        text, decoder = self.body.decode(), json.JSONDecoder()
        at = text.index("[") + 1
        while text[at] != "]":
            one, end = decoder.raw_decode(text, at)
            body = text[at : end - 1].partition(',"body":')[2]  # the last member of each
            yield one["id"], Request(one["method"], one["path"], one["headers"], body.encode())
            at = end + (text[end] == ",")


class Server:
    """Apply requests, and do to their senders what the script says."""

    def __init__(self, ledger, seed):
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.seed = seed
        self.state, self.known, self.arrivals = {}, {}, {}
        self.versions = 0
        self.healed = False
        self.later = set()

    def note(self, kind, request, **more):
        line = {"t": kind, "world": request.world, "lane": request.path, "w": request.write, "verb": request.method,
                "key": request.headers.get("idempotency-key"), "print": request.print,
                "fence": request.headers.get("outbox-fence"), "runner": request.headers.get("outbox-runner"),
                "at": time.monotonic(), **more}  # fmt: skip
        os.write(self.ledger, json.dumps(line).encode() + b"\n")

    def execute(self, request):
        """Apply a request under its key; return status, headers and body."""
        if request.key in self.known and request.key:
            print_, answer = self.known[request.key]
            return answer if print_ == request.print else (422, {}, b'{"type":"about:key-reused"}')
        answer = self.change(request)
        if answer[0] < 300 and request.key:
            self.known[request.key] = (request.print, answer)
        return answer

    def change(self, request):
        old = self.state.get(request.path)
        if not self.healed and refuses_always(self.seed, request.world, request.path):
            return 409, {}, b'{"title":"clash"}'
        if request.headers.get("if-none-match") == "*" and old is not None:
            return 412, {}, b""
        if request.match is not None and (old is None or old[1] != request.match):
            return 412, {}, b""
        if old is None and request.method in {"PATCH", "DELETE"}:
            return 404, {}, b""
        self.note("effect", request)
        os.fdatasync(self.ledger)
        self.versions += 1
        etag = f'"v{self.versions}"'
        if request.method == "DELETE":
            del self.state[request.path]
            return 204, {}, b""
        body = json.loads(request.body)
        if request.method == "POST":
            body = [*(old[0] if old else []), body]
        elif request.method == "PATCH":
            body = {name: value for name, value in {**old[0], **body}.items() if value is not None}
        self.state[request.path] = (body, etag)
        return (200 if old else 201), {"ETag": etag}, request.body

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.one(reader, writer):
                pass
        writer.close()

    async def one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        request = Request.read(head[:-4], b"")
        if request.path == "/batch":
            return await self.batch(Request.read(head[:-4], await reader.readexactly(length)), writer)
        fault = None if request.method == "GET" else self.fault(request)
        if fault == "drop-before-read":
            self.note("arrival", request, fault=fault)
            return False
        request = Request.read(head[:-4], await reader.readexactly(length))
        if request.method == "GET":
            return await self.tell(request, writer)
        self.note("arrival", request, fault=fault)
        return await self.play(fault, request, writer)

    def fault(self, request):
        count = self.arrivals[request.write] = self.arrivals.get(request.write, 0) + 1
        return None if self.healed else fault_of(
            self.seed, request.world, request.write, count, keyed=request.key is not None,
            matched=request.match is not None, post=request.method == "POST",
        )  # fmt: skip

    async def tell(self, request, writer):
        if request.path == "/_heal":
            self.healed = True
        if request.path in {"/_state", "/_heal"}:
            found = {path: body for path, (body, _) in self.state.items()}
            return await self.answer(writer, 200, {}, json.dumps(found).encode())
        if (found := self.state.get(request.path)) is None:
            return await self.answer(writer, 404, {}, b"")
        return await self.answer(writer, 200, {"ETag": found[1]}, json.dumps(found[0]).encode())

    async def play(self, fault, request, writer):
        """Do what the script says; return whether the connection stays."""
        if fault in REFUSALS:
            status, headers = REFUSALS[fault](request)
            return await self.answer(writer, status, headers, b"")
        if fault == "in-progress":
            self.after(LATER, request)
            return await self.answer(writer, 409, {"Retry-After": "0"}, IN_PROGRESS)
        status, headers, body = self.execute(request)
        await asyncio.sleep(latency(self.seed, request.write, self.arrivals[request.write]))
        if fault is None or status >= 300:
            return await self.answer(writer, status, headers, body)
        return await self.spoil(fault, request, writer, headers, body, status)

    async def batch(self, whole, writer):
        """Play the script with each part of a batch; the answer does not mention all that has been done."""
        said = []
        for name, request in whole.parts():
            fault = self.fault(request)
            self.note("arrival", request, fault=fault, batch=True)
            found = self.part(fault, request)
            if found is not None:
                status, headers, body = found
                said.append({"id": name, "status": status, "headers": headers, "body": json.loads(body or b"null")})
            await asyncio.sleep(latency(self.seed, request.write, self.arrivals[request.write]) / 4)
        return await self.answer(writer, 207, {}, json.dumps({"responses": said}).encode())

    def part(self, fault, request):
        """Return the answer to a part of a batch, None for one that is not mentioned."""
        if fault == "drop-before-read":
            return None
        if fault in REFUSALS:
            return (*REFUSALS[fault](request), b"")
        if fault == "in-progress":
            self.after(LATER, request)
            return 409, {"Retry-After": "0"}, IN_PROGRESS
        status, headers, body = self.execute(request)
        if fault is None or status >= 300:
            return status, headers, body
        if fault == "apply-duplicate":
            self.after(LATER, request)
        spoilt = {"apply-500": (500, {}, b""), "apply-412": (412, {}, b""),
                  "apply-wrong-etag": (status, {"ETag": '"never"'}, body)}  # fmt: skip
        return spoilt.get(fault)

    async def spoil(self, fault, request, writer, headers, body, status):
        """Spoil the answer to what was applied."""
        match fault:
            case "apply-500":
                return await self.answer(writer, 500, {}, b"")
            case "apply-412":
                return await self.answer(writer, 412, {}, b"")
            case "apply-wrong-etag":
                return await self.answer(writer, status, {"ETag": '"never"'}, body)
            case "apply-half-body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                await writer.drain()
            case "apply-slow-drip":
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.003)
                return True
            case "apply-duplicate":
                self.after(LATER, request)
                return await self.answer(writer, status, headers, body)
        return False  # apply-drop

    def after(self, seconds, request):
        """Let a request take effect, or arrive again, a moment later."""
        handle = asyncio.get_running_loop().call_later(seconds, self.execute, request)
        self.later.add(handle)

    async def answer(self, writer, status, headers, body):
        lines = [f"HTTP/1.1 {status} {WORDS[status]}", f"Date: {email.utils.formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        body = b"" if status == 204 else body
        lines += [] if status == 204 else [f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        return True


REFUSALS = {
    "429-seconds": lambda request: (429, {"Retry-After": "1"}),
    "429-date": lambda request: (429, {"Retry-After": email.utils.formatdate(time.time() + 1, usegmt=True)}),
    "429-garbage": lambda request: (429, {"Retry-After": "soon"}),
    "503": lambda request: (503, {}),
    "redirect": lambda request: (307, {"Location": f"/elsewhere{request.target}"}),
}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # that victims are gone is no news
    server = Server(options.ledger, options.seed)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever has started it is gone, however that ended
    os._exit(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
