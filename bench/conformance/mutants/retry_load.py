"""Faults for the demands of rows/retry_load.py."""

from mutants.places import RETRY

MUTANTS = {
    "retry/budget": [("engines/budget.py", "if self._balance < 1.0:", "if self._balance < -1e9:")],
    "retry/budget-through-the-wait": [
        (
            "policies/_retry_run.py",
            "        self._earlier.append(kind)\n",
            "        self._earlier.append(kind)\n        if wait > 0 and self._parts.budget is not None:\n"
            "            self._parts.budget.meter._balance += 1  # given back until the wait is over\n",
        )
    ],
    "retry/nested-retries": [(RETRY, "if config.stand_down and failure.given_up:", "if False:")],
    "retry/open-circuit-is-not-hammered": [
        (RETRY, "if failure.rejected and failure.listed is None", "if False and failure.listed is None")
    ],
}
