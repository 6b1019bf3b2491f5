"""Faults for the demands of rows/breaker_verdicts.py."""

from mutants.places import CALLS, JUDGE, judged_closed

MUTANTS = {
    "breaker/cancel-while-closed": judged_closed(
        "not isinstance(error, Exception)", 'self.settle(Permit(era, 0, began), Ruling(Verdict.FAILURE, "cancelled"))'
    ),
    "breaker/cancel-is-no-success": judged_closed("not isinstance(error, Exception)", "era.ok += 1"),
    "breaker/cancel-while-open": judged_closed(
        "not isinstance(error, Exception) and type(self.engine.phase) is Open",
        "self.engine.phase.until = self.now() + self.settings.open_for",
    ),
    "breaker/ignored-is-no-success": judged_closed("isinstance(error, Exception)", "era.ok += 1"),
    "breaker/ignored-is-no-failure": [(JUDGE, "(CancelledError, *self.ignore)", "CancelledError")],
    "breaker/rule-of-the-user": [
        (JUDGE, "failed = None if self.failure_if is None else self.failure_if(error)", "failed = None")
    ],
    "breaker/failed-results": [
        (JUDGE, "if self.failed_result is None or not self.failed_result(result):", "if self.failed_result != result:")
    ],
    "breaker/error-passes-unchanged": [
        (
            CALLS,
            "            failed(era, began, error)\n            raise\n        if type(result)",
            "            failed(era, began, error)\n            raise type(error)(*error.args) from error\n"
            "        if type(result)",
        )
    ],
    "breaker/refusals-of-policies-inside": [
        (JUDGE, "isinstance(error, (RejectedError, RateLimitError))", "isinstance(error, RateLimitError)")
    ],
}
