"""Faults for the demands of rows/single_flight.py."""

MUTANTS = {
    "single-flight/one-execution": [("policies/_single_flight.py", "return (loop, key)", "return (loop, object())")],
    "single-flight/cancelled-leader": [
        ("policies/_single_flight.py", "if last and not task.done():", "if not task.done():")
    ],
    "single-flight/failure-is-shared": [
        (
            "policies/_landing.py",
            "        if error is None:\n            return self._value",
            "        if self.landed:\n            return self._value",
        )
    ],
    "single-flight/interrupted-leader": [
        ("policies/_single_flight.py", "            landing.end()", "            landing.landed and landing.end()")
    ],
}
