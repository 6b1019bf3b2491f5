"""Faults for the demands of rows/bulkhead_queue.py."""

from mutants.places import SLOT_GATE, SLOTS

MUTANTS = {
    "bulkhead/fifo": [(SLOTS, "queue.popitem(last=self.config.order == QueueOrder.LIFO)", "queue.popitem(last=True)")],
    "bulkhead/cancelled-waiter": [
        (SLOT_GATE, "            holds = self.engine.leave(waiter)\n", "            holds = waiter.granted\n")
    ],
    "bulkhead/cancelled-in-the-moment-of-the-grant": [
        (SLOT_GATE, "        if holds:\n            self.give()", "        if holds:\n            pass")
    ],
    "bulkhead/wait-that-runs-out": [
        (SLOT_GATE, "            if not self.engine.leave(waiter):\n", "            if not waiter.granted:\n")
    ],
    "bulkhead/wait-storm": [
        (
            SLOT_GATE,
            "            if not self.engine.leave(waiter):\n",
            "            if not self.engine.leave(waiter) or (self.engine.config.max_wait or 1e9) <= self._clock.now() - began:\n",
        )
    ],
    "bulkhead/queue-limit": [(SLOTS, "if self.waiting >= self.config.max_waiting:", "if self.waiting < 0:")],
    "bulkhead/no-overtaking": [
        (
            "policies/_bulkhead.py",
            "            finally:\n                give(None)\n                if engine.crowded:\n",
            "            finally:\n                give(None)\n                import asyncio\n"
            "                engine.crowded = asyncio.get_running_loop().call_soon(gate.hand_on) and 0\n"
            "                if engine.crowded:\n",
        )
    ],
    "bulkhead/cancel-storm": [(SLOTS, "del self._queues[key][waiter]", "self._queues[key].popitem()")],
}
