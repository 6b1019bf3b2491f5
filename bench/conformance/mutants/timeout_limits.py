"""Faults for the demands of rows/timeout_limits.py."""

from mutants.places import JUDGE, LANES

MUTANTS = {
    "timeout/own-is-a-timeout-error": [
        (
            "errors/_tree.py",
            "class DeadlineExceededError(OutlastError, TimeoutError):",
            "class DeadlineExceededError(OutlastError):",
        )
    ],
    "timeout/users-timeout-error": [
        (
            LANES,
            "            if lane.failed(task, cancelling, error):",
            "            if lane.failed(task, cancelling, error) or type(error) is TimeoutError:",
        )
    ],
    "timeout/not-early": [(LANES, "due = lane.read() + lane.seconds", "due = lane.read() + lane.seconds * 0.9")],
    "timeout/each-its-own-time": [(LANES, "                self.arm(entry[0])\n", "")],
    "timeout/sync-is-not-silently-endless": [
        (
            "policies/_timeout.py",
            '            case "cooperative":\n                run',
            '            case None:\n                return fn\n            case "cooperative":\n                run',
        )
    ],
    "timeout/items-of-a-stream": [
        (
            "policies/_timeout.py",
            "return arelay(fn, opening=self.wrap_async(aopen_stream), step=self.limit)",
            "return arelay(fn, opening=self.wrap_async(aopen_stream))",
        )
    ],
    "timeout/counts-for-the-breaker": [
        (
            JUDGE,
            "isinstance(error, DeadlineExceededError) and error.outcome is Outcome.NOT_APPLIED",
            "isinstance(error, DeadlineExceededError)",
        )
    ],
    "timeout/threads-left-behind": [
        (
            "policies/_worker.py",
            "        if self.full:\n            raise",
            "        if self.abandoned < 0:\n            raise",
        )
    ],
    "timeout/error-can-be-pickled": [
        (
            "errors/_base.py",
            "return (_rebuild, (type(self), self.args, dict(self.__dict__)))",
            "return (type(self), ())",
        )
    ],
    "timeout/cuts": [
        ("policies/_timeout.py", "self._workers.run(call, limit.left())", "self._workers.run(call, limit.left() + 2)")
    ],
    "timeout/lambda-returning-a-coroutine": [
        (
            "policies/_timeout.py",
            "            case None:\n                raise",
            "            case None:\n                return fn\n                raise",
        ),
        ("policies/_timeout.py", "if is_awaitable(result) else result", "if False else result"),
    ],
}
