"""Faults for the demands of rows/retry_waits.py."""

from mutants.places import LOOPS, RETRY

MUTANTS = {
    "retry/cancellation-is-not-retried": [
        (
            LOOPS,
            "            return await attempt(*args, **kwargs)\n        except Exception as",
            "            return await attempt(*args, **kwargs)\n        except BaseException as",
        )
    ],
    "retry/cancel-during-the-wait": [
        (
            LOOPS,
            "                await run.clock.asleep(wait)\n",
            "                import asyncio, contextlib\n                with contextlib.suppress(asyncio.CancelledError):\n"
            "                    await run.clock.asleep(wait)\n",
        )
    ],
    "retry/cap-after-jitter": [
        (
            "engines/backoff.py",
            "return min(self.cap, self._spread(self._planned(attempt), chance))",
            "return self._spread(self._planned(attempt), chance)",
        )
    ],
    "retry/hint-is-a-floor": [(RETRY, "max(wait, failure.meaning.retry_after or 0.0)", "wait")],
    "retry/hint-above-the-cap": [(RETRY, "after > config.max_retry_after", "after < 0")],
    "retry/hint-as-a-date": [("errors/_retry_after.py", "now = wall if now is None else now", "now = wall")],
    "retry/hint-in-other-forms": [("errors/_retry_after.py", "return millis / 1000.0", "return millis")],
    "retry/total-time": [
        (RETRY, "failure.elapsed + wait >= config.max_elapsed", "failure.elapsed >= config.max_elapsed")
    ],
    "retry/deadline": [(RETRY, "wait >= failure.remaining", "wait < 0")],
}
