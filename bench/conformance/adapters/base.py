"""What a row may ask of a library, and the one way in which every adapter answers.

A row asks for a policy with options of ours. The base fills in the defaults, refuses what the library does not say
that it has a setting for, and hands the rest to the adapter's `make_...`, which builds the library's own policy.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from demand import NotApplicable


@dataclass(frozen=True)
class BreakerAsked:
    """A circuit breaker. `failures` in a row open it, or with `rate` that share of the calls, of at least so many."""

    failures: int = 3
    open_for: float = 0.15
    probes: int = 1
    successes: int = 1
    consecutive: bool = False
    rate: float | None = None
    window: float | None = None
    slow: float | None = None
    growth: float | None = None
    ignore: Any = ()
    failure_if: Any = None
    failed_result: Any = None
    listener: Any = None


@dataclass(frozen=True)
class RetryAsked:
    """A retry of `attempts` in total with a fixed `wait`, or with `jitter` a growing one up to `cap`."""

    attempts: int = 3
    wait: float = 0.0
    on: Any = Exception
    rule: Any = None
    unlisted: bool = False
    on_result: Any = None
    cap: float | None = None
    jitter: bool = False
    total: float | None = None
    budget: Any = None
    max_retry_after: float | None = None
    in_doubt: bool = False


@dataclass(frozen=True)
class TimeoutAsked:
    """A limit of `seconds`, with at most `most` calls left running in threads."""

    seconds: float
    most: int | None = None


@dataclass(frozen=True)
class BulkheadAsked:
    """A bulkhead of `size`, in which `waiting` callers may wait for at most `max_wait`."""

    size: int
    waiting: int | None = None
    max_wait: float | None = None


@dataclass(frozen=True)
class RateAsked:
    """A limit of `calls` each `per` seconds, of which `burst` may pass at once, and which waits up to `max_wait`."""

    calls: float
    per: float
    burst: float | None = None
    max_wait: float = 0.0


@dataclass(frozen=True)
class HedgeAsked:
    """Start so many `hedges`, each `delay` seconds after the one before."""

    delay: float
    hedges: int = 1


@dataclass(frozen=True)
class FallbackAsked:
    """Answer with `value` in place of the exceptions `on`."""

    value: Any
    on: Any = Exception


@dataclass(frozen=True)
class SingleFlightAsked:
    """Run calls that come at the same time once."""


ALWAYS = {"failures", "open_for", "attempts", "wait", "on", "calls", "per"}
"""What every library that has the policy at all has a setting for."""


class Guarded:
    """A policy of some library, ready to be put around functions of one colour.

    Args:
        wrap: Puts it around a function.
        policy: The library's own object; usually it is its own decorator.
    """

    def __init__(self, wrap, policy=None, *, streams=True, any_callable=True):
        self.wrap, self.policy = wrap, wrap if policy is None else policy
        self.streams, self.any_callable = streams, any_callable

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


def asked(kind, form):
    """Return the method by which rows ask for a policy of a kind."""

    def method(self, stage, *args, **options):
        make = getattr(self, f"make_{kind}", None)
        if make is None:
            raise NotApplicable(f"has no {kind.replace('_', ' ')}")
        if stage.colour not in self.colours:
            raise NotApplicable(f"is not for {stage.colour} code")
        ask = form(*args, **options)
        refuse_unknown(ask, ALWAYS | self.settings.get(kind, set()))
        made = make(stage, ask)
        wrap, policy = made if isinstance(made, tuple) else (made, made)
        return Guarded(wrap, policy, streams=self.streams, any_callable=self.any_callable)

    return method


def refuse_unknown(ask, known):
    """Refuse options that a library has no setting for."""
    for field in fields(ask):
        given = field.default is not MISSING and getattr(ask, field.name) != field.default
        if given and field.name not in known:
            raise NotApplicable(f"has no setting for {field.name.replace('_', ' ')}")


def lacks(what):
    """Return a method that says what is missing."""

    def method(self, stage, *args, **kwargs):
        raise NotApplicable(f"has no {what}")

    return method


class Adapter:
    """Nothing at all; a library's adapter says what the library has."""

    name = ""
    colours = ("sync", "async")
    settings = {}  # noqa: RUF012 - read only: for each policy the options that the library has a setting for
    streams = False
    """Whether its documentation says that its policies can be around generator functions."""
    any_callable = True
    """Whether its policies are decorators that find out by themselves what they are around."""
    one_at_a_time = False
    """Whether it never lets two calls run side by side."""
    refused = ()
    """The exceptions of its refusals, for `except`."""

    breaker = asked("breaker", BreakerAsked)
    retry = asked("retry", RetryAsked)
    timeout = asked("timeout", TimeoutAsked)
    bulkhead = asked("bulkhead", BulkheadAsked)
    rate_limit = asked("rate_limit", RateAsked)
    hedge = asked("hedge", HedgeAsked)
    fallback = asked("fallback", FallbackAsked)
    single_flight = asked("single_flight", SingleFlightAsked)

    attempts = lacks("loop form of retry")
    budget = lacks("retry budget")
    deadline = lacks("deadline")
    reset = lacks("reset of a breaker by hand")
    asks = lacks("hints about when to come again")
    """Return an error by which a server asks to wait, in the form that the library documents."""

    @property
    def distribution(self):
        """Its name on the package index."""
        return self.name

    def bare_timeout(self, stage, seconds):
        """Return a timeout with no setting but the limit."""
        return self.timeout(stage, seconds)

    def retry_after(self, error):
        """Return the seconds that a refusal says to wait."""
        value = getattr(error, "retry_after", None)
        if value is None:
            raise NotApplicable("says nothing about when to come again")
        return value


def types(ignore):
    """Return exception types as a tuple."""
    return (ignore,) if isinstance(ignore, type) else tuple(ignore)
