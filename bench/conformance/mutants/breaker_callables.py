"""Faults for the demands of rows/breaker_callables.py."""

from mutants.places import FACE, PERMIT

MUTANTS = {
    "breaker/lambda-returning-a-coroutine": [
        (PERMIT, "    return judged(permit, lambda: result, (), {})", "    permit.success()\n    return result")
    ],
    "breaker/function-returning-a-future": [
        (
            PERMIT,
            "        elif (error := future.exception()) is not None:\n            self.judge(error)",
            "        elif (error := future.exception()) is not None:\n            self.judge(None)",
        )
    ],
    "breaker/future-that-nobody-awaits": [
        (
            PERMIT,
            "        result.add_done_callback(permit.judge_future)\n        return result",
            "        return judged(permit, lambda: result, (), {})",
        )
    ],
    "breaker/partial-of-a-coroutine-function": [
        (
            "policies/_policy.py",
            "        wrapped = wrap(self, fn)\n",
            '        wrapped = wrap(self, getattr(fn, "func", fn))\n',
        )
    ],
    "breaker/decorated-stays-what-it-was": [
        (
            "policies/_policy.py",
            "functools.update_wrapper(wrapped, fn)",
            "wrapped",
        )
    ],
    "breaker/object-with-async-call": [
        (
            FACE,
            "return async_call(self.gate, fn)",
            "return async_call(self.gate, fn) if hasattr(fn, '__name__') else fn",
        )
    ],
}
