"""How much shorter coalescing makes a queue, on three generators of writes, and that both queues end in the same state.

Generators, all seeded: **disjoint** (each write edits an entity of its own), **zipf** (edits of single settings of 200
devices, device k as often as 1/k), **slider** (bursts of 5 to 40 values of one setting of one device, as a finger moves
it). Each is played offline, so that nothing is sent before the end, and online with a sender that takes one op for each
so many writes: what is claimed is sealed and no longer folded into, and no queue gets shorter than what such a sender
takes out of it. Beside it stands what a known sync engine promises: 20-50 %.

Usage: `make bench ARGS=coalescing`, or `python bench/bench_coalescing.py [--quick] [--json]`
"""

import argparse
import json
import random
import sys
import time
from collections import deque
from dataclasses import replace

from outlast.engines.coalesce import OpCoalescer
from outlast.engines.coalesce_records import Annihilate, Append, OpView, Replace
from outlast.engines.json_values import same
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Verb

SEED = 20260
SETTINGS = [f"s{n}" for n in range(8)]


def disjoint(writes, rng):
    """Yield edits, each of an entity of its own."""
    for number in range(writes):
        yield f"device-{number}", {"s0": rng.randrange(100)}


def zipf(writes, rng):
    """Yield edits of single settings of 200 devices, the first of them most often."""
    weights = [1 / rank for rank in range(1, 201)]
    for number in rng.choices(range(200), weights, k=writes):
        yield f"device-{number}", {rng.choice(SETTINGS): rng.randrange(100)}


def slider(writes, rng):
    """Yield bursts of values of one setting of one device."""
    left = writes
    while left:
        device, setting = f"device-{rng.randrange(200)}", rng.choice(SETTINGS)
        for _ in range(min(left, rng.randrange(5, 41))):
            yield device, {setting: rng.randrange(1000)}
            left -= 1


class Queue:
    """An outbox in memory: entities in lanes of their own, and a sender that seals the oldest op."""

    def __init__(self, coalescer):
        self.coalescer = coalescer
        self.by_entity, self.order, self.state = {}, deque(), {}
        self.sent = self.last = 0

    def write(self, entity, patch):
        """Queue one edit."""
        new = OpView(verb=Verb.PATCH, kind="device", entity=entity, body=json.dumps(patch).encode())
        queued = self.by_entity.setdefault(entity, [])
        match self.coalescer.coalesce(queued, new) if self.coalescer else Append(""):
            case Replace(op=op, removed=()):
                queued[-1] = op
            case Append():
                self.last += 1
                queued.append(replace(new, seq=self.last))
                self.order.append(entity)
            case Replace() | Annihilate() as decision:
                sys.exit(f"edits alone cannot lead to {decision}")

    def send(self):
        """Send the oldest op."""
        entity = self.order.popleft()
        op = self.by_entity[entity].pop(0)
        self.state[entity] = apply_patch(self.state.get(entity, {}), json.loads(op.body))
        self.sent += 1


def play(generator, writes, per_send, coalescer):
    """Play one generator; returns the queue and the processor seconds that it took."""
    queue, begun = Queue(coalescer), time.process_time()
    for number, (entity, patch) in enumerate(generator(writes, random.Random(SEED)), start=1):
        queue.write(entity, patch)
        if per_send and number % per_send == 0 and queue.order:
            queue.send()
    while queue.order:
        queue.send()
    return queue, time.process_time() - begun


def measure(writes):
    """Return a row for each generator and each pace of the sender."""
    rows = []
    for generator in (disjoint, zipf, slider):
        for pace, per_send in (("offline", 0), ("a send per 20 writes", 20), ("a send per 2 writes", 2)):
            raw, without = play(generator, writes, per_send, None)
            short, took = play(generator, writes, per_send, OpCoalescer())
            if not same(raw.state, short.state):
                sys.exit(f"{generator.__name__}, {pace}: the two queues end in different states")
            rows.append(
                {
                    "generator": generator.__name__,
                    "sender": pace,
                    "writes": raw.sent,
                    "sent": short.sent,
                    "shorter by": f"{1 - short.sent / raw.sent:.1%}",
                    "us per decision": round((took - without) / writes * 1e6, 1),
                }
            )
    return rows


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the writes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options, _ = parser.parse_known_args()
    rows = measure(2_000 if options.quick else 20_000)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'generator':10} {'sender':22} {'writes':>7} {'sent':>7} {'shorter by':>11} {'us/decision':>12}")
    for row in rows:
        print("{:10} {:22} {:7} {:7} {:>11} {:12}".format(*row.values()))
    print("both queues ended in the same state in every row; a known engine's promise: 20-50 % shorter")


if __name__ == "__main__":
    main()
