"""Faults for the demands of rows/retry_streams.py."""

from mutants.places import LOOPS

MUTANTS = {
    "retry/opening-of-a-stream": [
        ("policies/_retry.py", "return relay(fn, opening=self._sync(open_stream, judged=False))", "return relay(fn)")
    ],
    "retry/no-item-twice": [
        (
            "policies/_retry.py",
            "        return relay(fn, opening=self._sync(open_stream, judged=False))",
            "        def again(*args: Any, **kwargs: Any) -> Any:\n            for number in range(3):\n                try:\n"
            "                    return (yield from fn(*args, **kwargs))\n                except Exception:\n"
            "                    if number == 2:\n                        raise\n\n        return again",
        )
    ],
    "retry/lambda-returning-a-coroutine": [
        (
            LOOPS,
            "                if is_awaitable(result):\n                    return later(result, args, kwargs)\n                usual",
            "                usual",
        )
    ],
    "retry/object-with-async-call": [
        (
            "policies/_retry.py",
            "return self._async(fn, judged=True)",
            "return self._async(fn, judged=True) if hasattr(fn, '__name__') else fn",
        )
    ],
}
