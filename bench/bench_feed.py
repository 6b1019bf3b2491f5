"""How many requests a feed needs, beside polling that is as quick, and beside polling as it is usual.

A server in a process of its own (the one of the tests, which shares no code with us) writes events down at random
moments. One client follows them over each rung, and others poll: at the interval at which the median event should
arrive as soon as it does over the WebSocket (twice that median, as an event waits for half an interval), at 1 s, and at
3 s, the delay that the sync engine which we replace begins with; it names no interval for its polling. The requests are
those that the server has counted.

Usage: `make bench ARGS=feed`, or `python bench/bench_feed.py [--seconds 120] [--json]`
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from outlast.sync_engine import LadderConfig, RealtimeChannel, Rung

SERVER = Path(__file__).parent.parent / "tests" / "integration" / "feed" / "server.py"
EVENTS_PER_SECOND = 2.0


def tell(port, **told):
    """Tell the server something."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/control", json.dumps(told))
        return json.load(connection.getresponse())


async def write(port, seconds, chance):
    """Let events happen at random moments, each with the moment in it."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        await asyncio.sleep(min(chance.expovariate(EVENTS_PER_SECOND), end - now))
        await asyncio.to_thread(tell, port, append=[{"entity": "clock", "body": time.monotonic()}])


async def measure(port, rung, seconds, poll_every=30.0):
    """Return how long events took, in seconds, and how many requests there were in all."""
    took = []
    ladder = LadderConfig(rungs=(rung,), poll_every=poll_every)
    channel = RealtimeChannel(f"http://127.0.0.1:{port}/feed", ladder=ladder)
    async with channel, channel.messages() as messages:
        await channel.connect()
        await channel.caught_up()
        writing = asyncio.create_task(write(port, seconds, random.Random(7)))
        reading = asyncio.create_task(read(messages, took))
        await writing
        requests = sum(tell(port)["asked"].values())
        await channel_at(channel, tell(port)["length"], 10 + 2 * poll_every)
        reading.cancel()
    return took, requests


async def read(messages, took):
    """Note how long each event took."""
    async for event in messages:
        took.append(time.monotonic() - event.body)


async def channel_at(channel, length, seconds):
    """Wait until the last event is there."""
    async with asyncio.timeout(seconds):
        while length and channel.position.seq != length:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def contest(name, rung, seconds, poll_every=30.0):
    """Measure one contestant with a server of its own."""
    server = await asyncio.create_subprocess_exec(sys.executable, str(SERVER), stdout=subprocess.PIPE)
    try:
        port = json.loads(await server.stdout.readline())["listening"]
        took, requests = await measure(port, rung, seconds, poll_every)
    finally:
        server.kill()
        await server.wait()
    return {"name": name, "requests": requests, "events": len(took), "median": statistics.median(took)}


async def compare(seconds):
    """Measure those that ask now and then side by side, and then the one that asks all the time."""
    rows = await asyncio.gather(
        contest("websocket", Rung.WEBSOCKET, seconds),
        contest("server-sent events", Rung.SSE, seconds),
        contest("long poll", Rung.LONG_POLL, seconds),
        contest("poll every 1 s", Rung.POLL, seconds, 1.0),
        contest("poll every 3 s", Rung.POLL, seconds, 3.0),
    )
    every = 2 * rows[0]["median"]
    return [*rows, await contest(f"poll every {every * 1000:.1f} ms (as quick)", Rung.POLL, seconds, every)]


def show(rows, seconds):
    """Print the table."""
    print(f"Python {platform.python_version()}, {seconds:g} s each, {EVENTS_PER_SECOND:g} events a second on average\n")
    print(f"{'':32} {'requests':>8} {'events':>7} {'median latency':>15}   websocket needs   stream needs")
    socket, stream = rows[0]["requests"], rows[1]["requests"]
    for row in rows:
        fewer = f"{1 - socket / row['requests']:>11.1%} fewer {1 - stream / row['requests']:>8.1%} fewer"
        line = f"{row['name']:32} {row['requests']:>8} {row['events']:>7} {row['median'] * 1000:>12.1f} ms"
        print(line + (f" {fewer}" if row["name"].startswith("poll") else ""))


def main():
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="seconds for each contestant")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    rows = asyncio.run(compare(options.seconds))
    print(json.dumps(rows)) if options.json else show(rows, options.seconds)


if __name__ == "__main__":
    main()
