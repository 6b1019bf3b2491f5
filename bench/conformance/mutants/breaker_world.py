"""Faults for the demands of rows/breaker_world.py."""

from mutants.places import FACE, FAILED, GATE, WALL

MUTANTS = {
    "breaker/clock-step-forward": [
        ("clock.py", "now = staticmethod(time.monotonic)", WALL.format("max")),
    ],
    "breaker/clock-step-back": [
        ("clock.py", "now = staticmethod(time.monotonic)", WALL.format("min")),
    ],
    "breaker/threads-lose-nothing": [
        (
            GATE,
            "        with self._lock:\n            failed = failed and self.engine.stands(permit)\n",
            "        if self._lock.locked():\n            return\n        with self._lock:\n            failed = failed and self.engine.stands(permit)\n",
        )
    ],
    "breaker/many-loops": [
        (
            GATE,
            FAILED,
            "        import asyncio\n        if asyncio._get_running_loop() and threading.current_thread() is not threading.main_thread():\n"
            "            return\n" + FAILED,
        )
    ],
    "breaker/listener-may-call-back": [
        (
            GATE,
            "        if failed:\n            self._bus.emit(CallFailed",
            "        if failed:\n          with self._lock:\n            self._bus.emit(CallFailed",
        )
    ],
    "breaker/listener-that-raises": [
        (
            "events/_bus.py",
            "                subscription.listener(event)\n            except Exception:",
            "                subscription.listener(event)\n            except LookupError:",
        )
    ],
    "breaker/refusal-can-be-pickled": [
        ("policies/_refusal.py", "return (_public, (self.message, vars(self)))", "return (type(self), self.args)")
    ],
    "breaker/calls-run-side-by-side": [
        (
            FACE,
            "        return sync_call(self.gate, fn)",
            "        import threading\n        four = threading.Semaphore(4)\n\n        def some(*args):\n"
            "            with four:\n                return fn(*args)\n\n        return sync_call(self.gate, some)",
        )
    ],
}
