"""Faults for the demands of rows/retry_attempts.py."""

from mutants.places import LOOPS, RETRY

MUTANTS = {
    "retry/attempts-in-total": [
        (RETRY, "if failure.attempt >= config.attempts:", "if failure.attempt > config.attempts:")
    ],
    "retry/last-exception-as-raised": [
        (
            LOOPS,
            "                    raise\n            else:\n                if is_awaitable(result):",
            "                    raise type(error)(*error.args) from error\n            else:\n                if is_awaitable(result):",
        )
    ],
    "retry/note-of-attempts": [
        (
            "policies/_retry_run.py",
            '                note(error, f"outlast',
            '                (lambda *_: None)(error, f"outlast',
        )
    ],
    "retry/other-exceptions-pass": [
        ("policies/_retry_run.py", "return lambda error: isinstance(error, kinds)", "return lambda error: True")
    ],
    "retry/unknown-errors": [
        (
            RETRY,
            "return failure.meaning.retryable if failure.listed is None",
            "return failure.meaning.category is not Category.FATAL if failure.listed is None",
        )
    ],
    "retry/effects-in-doubt": [
        (RETRY, "Outcome.IN_DOUBT and config.idempotent is False", "Outcome.IN_DOUBT and config.idempotent is True")
    ],
    "retry/failed-results": [
        (
            "policies/_retry_run.py",
            "return self.again is not None or self.config.max_elapsed is not None",
            "return self.config.max_elapsed is not None",
        )
    ],
    "retry/loop-form": [("policies/_attempts.py", "return self.wait is not None", "return True")],
    "retry/stops-at-success": [
        (
            LOOPS,
            "    return run.answered(result)",
            "    if run.attempt == 2 and run._parts.config.attempts == 5:\n        run.attempt = 3\n        return 0.0\n"
            "    return run.answered(result)",
        )
    ],
    "retry/calls-share-nothing": [
        ("policies/_retry_run.py", '"attempt", "clock")', '"clock")'),
        ("policies/_retry_run.py", "self.attempt = 1", "RetryRun.attempt = 1"),
        ("policies/_retry_run.py", "self.attempt += 1", "RetryRun.attempt += 1"),
    ],
}
