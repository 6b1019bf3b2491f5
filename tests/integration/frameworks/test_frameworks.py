"""An outbox in the frameworks that programs are built with: real servers and workers; another process delivers."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx2

from outlast.outbox import SyncOutbox
from programs import delivered, program


def served(process):
    """Return a client of a program that has said its port."""
    return httpx2.Client(base_url=f"http://127.0.0.1:{int(process.stdout.readline())}", trust_env=False, timeout=60)


def test_threads_of_flask_share_an_outbox(path):
    """Every request that was answered is in the file, whichever thread answered it."""
    with program("flask_notes.py", path) as process, served(process) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: client.put(f"/notes/n{n}", json={"n": n}), range(60)))
    seen = asyncio.run(delivered(path))

    assert {(answer.status_code, answer.json()["state"]) for answer in answers} == {(202, "ready")}
    assert sorted(seen) == sorted((f"n{n}", json.dumps({"n": n}, separators=(",", ":")).encode()) for n in range(60))


def test_a_transaction_of_django_holds_both_or_neither(path):
    """The orders that are in Django's table are those that are announced."""
    with SyncOutbox.open(path, inside=True):
        pass  # makes the tables in the file that will be Django's
    with program("django_shop.py", path) as process, served(process) as client:
        codes = [
            client.post(f"/orders/o{n}{'?fail=1' if n % 3 == 0 else ''}", content=b"{}").status_code for n in range(9)
        ]
    seen = asyncio.run(delivered(path, inside=True))

    assert codes == [500, 201, 201] * 3
    assert sorted(entity for entity, _ in seen) == ["o1", "o2", "o4", "o5", "o7", "o8"]
