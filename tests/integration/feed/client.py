"""Follow a feed in processes that stop dead in the middle of applying an event, for somebody to kill them.

    python client.py URL FILE

Each line of standard input, a rung and the place of an event, starts one: inside of the transaction of that event it
prints its process id and waits for ever. They are forks of this process, which has the slow imports behind it and does
nothing but start them.
"""

import asyncio
import importlib
import os
import sys
import time

from outlast.sync_engine import FeedStore, LadderConfig, RealtimeChannel, Rung


async def main(url, path, rung, stall):
    """Follow the feed up to the event."""

    def apply(db, event):
        db.execute("CREATE TABLE IF NOT EXISTS applied (seq INTEGER)")
        db.execute("INSERT INTO applied VALUES (?)", (event.seq,))
        if event.seq == stall:
            os.write(1, b"%d\n" % os.getpid())
            time.sleep(3600)

    ladder = LadderConfig(rungs=(rung,))
    async with (
        await FeedStore.open(path, apply=apply) as store,
        RealtimeChannel(url, store=store, ladder=ladder) as feed,
    ):
        await feed.connect()
        await feed.closed()


if __name__ == "__main__":
    for slow in ("apsw", "httpx2", "outlast.sync_engine._feed_websocket"):
        importlib.import_module(slow)
    for line in sys.stdin:
        rung, stall = line.split()
        child = os.fork()
        if not child:
            asyncio.run(main(sys.argv[1], sys.argv[2], Rung(rung), int(stall)))
        os.waitpid(child, 0)
