"""Faults for the demands of rows/bulkhead_slots.py."""

from mutants.places import SLOTS

MUTANTS = {
    "bulkhead/failures-return-the-slot": [
        (
            "policies/_bulkhead.py",
            "            except BaseException:\n                gate.give()",
            "            except Exception:\n                gate.give()",
        )
    ],
    "bulkhead/stream-holds-the-slot": [
        ("policies/_bulkhead.py", "return relay(fn, whole=self.guard)", "return relay(fn)")
    ],
    "bulkhead/lambda-returning-a-coroutine": [
        (
            "policies/_bulkhead.py",
            "        return self.wrap_async(after_first(result, fn))(*args, **kwargs)",
            "        return result",
        )
    ],
    "bulkhead/one-cap-over-colours": [
        (
            "policies/_bulkhead.py",
            'is known to return coroutines; empty until then. See `later`.\n        """\n        gate, engine, rule = self.gate, self.gate.engine, self._rule\n',
            'is known to return coroutines; empty until then. See `later`.\n        """\n'
            "        gate = SlotGate(self.name, self.gate.engine.config, self._clock, self._bus)\n        engine, rule = gate.engine, self._rule\n",
        )
    ],
    "bulkhead/no-overshoot": [
        (SLOTS, "[None] * config.max_concurrent", "[None] * (config.max_concurrent + config.max_concurrent // 4)")
    ],
    "bulkhead/one-cap-over-loops": [
        (
            "policies/_bulkhead.py",
            "            if engine.crowded:\n                await gate",
            "            import threading\n"
            "            if threading.current_thread() is not threading.main_thread():\n"
            "                return await fn(*args, **kwargs)\n"
            "            if engine.crowded:\n                await gate",
        )
    ],
    "bulkhead/refusal-can-be-pickled": [
        (
            "errors/_tree.py",
            "class BulkheadFullError(RejectedError):\n",
            "class BulkheadFullError(RejectedError):\n    def __reduce__(self):\n        return (type(self), ())\n\n",
        )
    ],
}
