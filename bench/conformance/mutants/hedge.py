"""Faults for the demands of rows/hedge.py."""

MUTANTS = {
    "hedge/losers-are-reaped": [
        (
            "policies/_hedge_race.py",
            "                await reap(self._tasks)",
            "                for task in self._tasks:\n                    task.cancel()",
        )
    ],
    "hedge/cancelled-caller": [
        (
            "policies/_hedge_race.py",
            "            del end  # no cycle between an error and the frames that raise it\n            self._run.end()\n            if self._tasks:",
            "            answered = end is not None\n            del end\n            self._run.end()\n            if answered and self._tasks:",
        )
    ],
    "hedge/failure-does-not-win": [
        ("policies/_hedge_run.py", "return self._verdict() if over else None", "return self._verdict()")
    ],
    "hedge/not-more-than-asked": [("engines/hedge.py", "        self._left -= 1\n", "")],
    "hedge/first-answer-wins": [
        (
            "policies/_hedge_race.py",
            "            self._run.won(number)\n            return Won(value)",
            "            self._run.won(number)\n            for other in self._jobs:\n                other.done.wait()\n"
            "            return Won(value)",
        )
    ],
}
