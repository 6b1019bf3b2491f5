"""Callers of one flight at the same time."""

import asyncio
import threading


def by_first(first, *args, **kwargs):
    """Take the first argument as the key."""
    return first


class Crowd:
    """Callers at the same time, as threads or as tasks, and work that goes on until it is told how to end."""

    def __init__(self, face):
        self.face = face
        self.is_async = face.colour == "async"
        self.calls, self.ends = [], threading.Event()
        self.outcome = None

    def work(self, key):
        """Work in a thread."""
        self.calls.append(key)
        self.ends.wait(10)
        return self.end(key)

    async def work_async(self, key):
        """Work in a task."""
        self.calls.append(key)
        await asyncio.sleep(1)
        return self.end(key)

    def end(self, key):
        """End the work as told."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return [key]

    def run(self, policy, *keys):
        """Call with all keys at once and return what each caller got."""
        if self.is_async:
            return self.face.runner.run(self.tasks(policy, keys))
        results = [None] * len(keys)

        def call(place, key):
            try:
                results[place] = policy.call(self.work, key)
            except Exception as error:
                results[place] = error

        threads = [threading.Thread(target=call, args=item) for item in enumerate(keys)]
        for number, thread in enumerate(threads):
            thread.start()
            while policy.snapshot().waiting <= number:
                pass  # the thread is about to join
        self.ends.set()
        for thread in threads:
            thread.join(10)
        self.ends.clear()
        return results

    async def tasks(self, policy, keys):
        """Call as tasks."""
        return await asyncio.gather(*(policy.acall(self.work_async, key) for key in keys), return_exceptions=True)
