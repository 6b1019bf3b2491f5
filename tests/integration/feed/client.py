"""Follow a feed in a process of its own, and stop dead in the middle of applying an event, for somebody to kill it.

python client.py URL FILE RUNG STALL     at the event STALL, inside of the transaction, prints {"at": STALL} and waits
                                         for ever
"""

import asyncio
import json
import sys

from outlast.sync_engine import FeedStore, LadderConfig, RealtimeChannel, Rung


def say(**said):
    """Tell the test."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def main(url, path, rung, stall):
    """Follow the feed."""

    def apply(db, event):
        db.execute("CREATE TABLE IF NOT EXISTS applied (seq INTEGER)")
        db.execute("INSERT INTO applied VALUES (?)", (event.seq,))
        if event.seq == stall:
            say(at=stall)
            sys.stdin.read()

    ladder = LadderConfig(rungs=(rung,))
    async with (
        await FeedStore.open(path, apply=apply) as store,
        RealtimeChannel(url, store=store, ladder=ladder) as feed,
    ):
        await feed.connect()
        await feed.closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Rung(sys.argv[3]), int(sys.argv[4])))
