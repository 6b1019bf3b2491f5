"""Faults for the demands of rows/rate_limit.py."""

from mutants.places import RATE

MUTANTS = {
    "rate-limit/burst": [
        (
            RATE,
            "return max(1.0, self.calls if self.burst is None else self.burst)",
            "return max(1.0, (self.calls if self.burst is None else self.burst) * 1.2 // 1)",
        )
    ],
    "rate-limit/pace": [(RATE, "return self.per / self.calls", "return 0.9 * self.per / self.calls")],
    "rate-limit/says-when": [(RATE, "return Refusal(wait)", "return Refusal(self.config.per)")],
    "rate-limit/cancelled-waiter": [
        ("policies/_rate_limit.py", "earlier = self._engine.give_back(ticket, now)", "earlier = []")
    ],
    "rate-limit/behind-a-cancelled-one": [
        (
            "policies/_rate_limit.py",
            "        for other in earlier:\n            other.wake()\n\n    def _waited",
            "        del earlier\n\n    def _waited",
        )
    ],
    "rate-limit/refused-takes-nothing": [
        (
            RATE,
            "            self._rejected += 1\n",
            "            self._rejected += 1\n            self._arrival = self._last = self._after(self._last, ticket)\n",
        )
    ],
    "rate-limit/impossible-wait": [
        (
            "policies/_rate_limit.py",
            "            case Refusal(retry_after=wait):\n",
            "            case Refusal(retry_after=wait):\n                self._clock.sleep(self._engine.config.max_wait)\n",
        )
    ],
}
