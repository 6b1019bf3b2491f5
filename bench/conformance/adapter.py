"""What a row may ask of a library. An adapter answers with the library's own policy, in its documented settings.

Each method gives an object with `wrap(fn)`; what a library does not offer raises `NotApplicable` with the reason, and
the row is then no statement about it.
"""

from stage import NotApplicable


class Guarded:
    """A policy of some library, ready to be put around functions of one colour.

    Args:
        wrap: Puts it around a function.
        policy: The library's own object.
        streams: Whether its documentation says that it can be around generator functions.
        any_callable: Whether it is a decorator that finds out by itself what it is around.
    """

    def __init__(self, wrap, policy=None, *, streams=True, any_callable=True):
        self.wrap, self.policy, self.streams, self.any_callable = wrap, policy, streams, any_callable

    def wrap_stream(self, fn):
        """Put it around a generator function."""
        if not self.streams:
            raise NotApplicable("is not made for generators")
        return self.wrap(fn)

    def wrap_any(self, fn):
        """Put it around something that is no plain function of the colour."""
        if not self.any_callable:
            raise NotApplicable("is told by hand whether a call is async")
        return self.wrap(fn)


def lacks(what):
    """Return a method that says what is missing."""

    def method(self, stage, *args, **kwargs):
        raise NotApplicable(f"has no {what}")

    return method


class Adapter:
    """Nothing at all; a library's adapter overrides what the library has."""

    name = ""
    distribution = ""
    one_at_a_time = False
    """Whether it never lets two calls run side by side."""
    refused = ()
    """The exceptions of its refusals, for `except`."""

    breaker = lacks("circuit breaker")
    retry = lacks("retry")
    attempts = lacks("loop form of retry")
    timeout = lacks("timeout")
    bare_timeout = lacks("timeout")
    bulkhead = lacks("bulkhead")
    rate_limit = lacks("rate limit")
    hedge = lacks("hedge")
    fallback = lacks("fallback")
    single_flight = lacks("single-flight")
    budget = lacks("retry budget")
    deadline = lacks("deadline")
    reset = lacks("reset of a breaker by hand")
    asks = lacks("hints about when to come again")
    """Return an error by which a server asks to wait, in the form that the library documents."""

    def retry_after(self, error):
        """Return the seconds that a refusal says to wait."""
        value = getattr(error, "retry_after", None)
        if value is None:
            raise NotApplicable("says nothing about when to come again")
        return value


def only(options, *known, lib=""):
    """Refuse options that a library has no setting for."""
    for name, value in options.items():
        if name not in known and value is not None:
            raise NotApplicable(f"has no setting for {name.replace('_', ' ')}")
