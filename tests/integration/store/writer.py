"""A program with a store, to be killed: it does what its arguments say, tells of it, and waits.

python writer.py FOLDER OUTBOX URL [deliver|watch] KEY=TEXT ...
"""

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from store_world import Note, quick_config

from outlast.cache import Cache, Freshness, SqliteTier
from outlast.outbox import Outbox
from outlast.store import HttpBackend, Store


async def main(folder, place, url, mode, *writes):
    """Save, tell, and wait for the end."""
    backend = HttpBackend(url, "notes", call_timeout=1.0)
    cache = Cache("notes", freshness=Freshness(), disk=SqliteTier(folder / "cache.db"))
    store = Store(
        Note,
        backend=backend,
        cache=cache,
        outbox=await Outbox.open(place),
        config=quick_config(deliver=mode == "deliver"),
    )
    async with store:
        for write in writes:
            key, _, text = write.partition("=")
            await (store.save(Note(f"w-{text}", text, key)) if text else store.delete(key))
        sys.stdout.write("saved\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
