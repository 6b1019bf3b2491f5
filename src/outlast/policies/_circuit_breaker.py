"""The circuit breaker's face: everything that its users see."""

from __future__ import annotations

from typing import Any, Self, TypedDict, Unpack

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.engines import Backoff, BreakerSnapshot, CircuitState, RecoveryRule, TripRule, Verdict
from outlast.events import DEFAULT_BUS, EventBus
from outlast.policies._announcer import OnTrip
from outlast.policies._breaker_calls import async_call, sync_call
from outlast.policies._breaker_gate import UNTIMED, BreakerGate
from outlast.policies._breaker_settings import INSTEAD_OF, Ignored, Settings
from outlast.policies._judge import SUCCESS, FailureRule, ResultRule, Ruling, Weight, in_words
from outlast.policies._permit import BreakerGuard, BreakerPermit
from outlast.policies._policy import Policy
from outlast.policies._relay import arelay, relay
from outlast.policies._shape import AnyFunction
from outlast.policies._wording import recovery_in_words, trip_in_words
from outlast.registry import DEFAULT_REGISTRY, Registry


class BreakerOptions(TypedDict, total=False):
    """Name the options that the presets pass on."""

    failure_if: FailureRule | None
    failed_result: ResultRule | None
    ignore: Ignored
    weight: Weight | None
    on_trip: OnTrip | None
    shadow: bool
    random: Random
    clock: Clock
    bus: EventBus
    registry: Registry


class CircuitBreaker(Policy):
    """Stop calling what fails too often, and let a few calls through now and then to see whether it is well again.

    A failure is any `Exception`, except: a rejection by one of our own policies, a call that was wrong
    itself (`INVALID_INPUT`, HTTP 4xx other than 408 and 425), and what the rules below say. HTTP 429 and
    cancellation are no result at all: the call's slot comes back and nothing is learnt. A result counts
    only in the period between two changes of state in which its call was admitted. A success never opens
    a circuit, except a slow one under `SlowCalls`.

    Args:
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        failure_threshold: Failures in a row that open it, >= 1. Default 5.
        success_threshold: Successful probes that close it, >= 1. Default 2.
        open_for: Seconds it stays open before probes may start, > 0. Default 30.
        trip: The rule that opens it, instead of `failure_threshold`; rules are combined with `|`.
        recovery: How it closes again, instead of `success_threshold`: `HalfOpen`, `ResetAfterCooldown` or
            `GradedRecovery`. Default: 3 probes at once.
        open_growth: How `open_for` grows each time the recovery fails; only factor and cap are used.
        open_jitter: The share by which chance makes an open time longer or shorter, from 0 to below 1. Default 0.
        failure_if: Asked first: True for a failure, False for an answer that proves health, None to let
            the rules above decide.
        failed_result: Tells results that mean failure. It is asked about what functions return, not about
            blocks and streams. Default: none.
        ignore: Exceptions from which nothing is learnt.
        weight: How much of a failure an exception is, asked about those that count; 0 to ignore it. Default 1.
        on_trip: Called with the `CircuitOpened` event each time it opens, outside the lock.
        shadow: Only judge and publish what it would do; every call runs. Default False.
        random: Spreads open times and admits by degrees. Default: the machine's.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense, or two arguments say the same thing.
        DuplicateNameError: A live breaker has the name.

    Cancel: a cancelled call gives its slot back and counts for nothing.

    Thread-safe: yes; one breaker may serve any number of threads and event loops.

    >>> breaker = CircuitBreaker(failure_threshold=1, open_for=30.0)
    >>> breaker.call(len, "fine"), breaker.state.value
    (4, 'closed')
    >>> breaker.record_failure()
    >>> breaker.state.value
    'open'
    """

    instead_of = INSTEAD_OF

    def __init__(
        self,
        name: str | None = None,
        *,
        failure_threshold: int | None = None,
        success_threshold: int | None = None,
        open_for: float = 30.0,
        trip: TripRule | None = None,
        recovery: RecoveryRule | None = None,
        open_growth: Backoff | None = None,
        open_jitter: float = 0.0,
        failure_if: FailureRule | None = None,
        failed_result: ResultRule | None = None,
        ignore: Ignored = (),
        weight: Weight | None = None,
        on_trip: OnTrip | None = None,
        shadow: bool = False,
        random: Random = SYSTEM_RANDOM,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        settings = Settings(
            failure_threshold=failure_threshold,
            success_threshold=success_threshold,
            open_for=open_for,
            trip=trip,
            recovery=recovery,
            open_growth=open_growth,
            open_jitter=open_jitter,
            failure_if=failure_if,
            failed_result=failed_result,
            ignore=ignore,
            weight=weight,
            on_trip=on_trip,
            shadow=shadow,
        )
        self._name = name
        self.gate = BreakerGate(name, self.name, settings, clock=clock, random=random, bus=bus)
        if name is not None:
            registry.register("circuit_breaker", self)

    @classmethod
    def defaults(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 5 failures in a row, for 30 s."""
        return cls(name, **options)

    @classmethod
    def lenient(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 10 failures in a row, for 60 s."""
        return cls(name, failure_threshold=10, open_for=60.0, **options)

    @classmethod
    def strict(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 3 failures in a row, for 15 s."""
        return cls(name, failure_threshold=3, open_for=15.0, **options)

    @property
    def name(self) -> str:
        """Return the name, or `circuit_breaker` when it has none."""
        return "circuit_breaker" if self._name is None else self._name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable whose result is then what is judged."""
        return sync_call(self.gate, fn)

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        return async_call(self.gate, fn)

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; the whole stream is one call, and its reader may close it early."""
        return relay(fn, whole=self._stream)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; the whole stream is one call, and its reader may close it early."""
        return arelay(fn, whole=self._stream)

    def _stream(self) -> BreakerGuard:
        return BreakerGuard(self._acquire_untimed, closing=Verdict.SUCCESS)

    def _acquire_untimed(self) -> BreakerPermit:
        permit = self.gate.admit()
        permit.began = UNTIMED  # how long a stream is says nothing about how well its source is
        return BreakerPermit(self.gate, permit)

    def guard(self) -> BreakerGuard:
        """Return a guard for one block, for `with` or `async with`; it gives the block its permit.

        >>> with CircuitBreaker().guard() as permit:
        ...     permit.failure(OSError("the answer was garbage"))
        """
        return BreakerGuard(self.acquire)

    def acquire(self) -> BreakerPermit:
        """Return the right to one call; report how it ended with `success`, `failure`, `ignore` or `judge`.

        Raises:
            CircuitOpenError: The circuit is open, or as many probes as allowed are running.
        """
        return BreakerPermit(self.gate, self.gate.admit())

    def verdict(self, error: BaseException) -> Verdict:
        """Say how an exception would be judged."""
        return self.gate.of_error(error).verdict

    def is_tripped(self) -> bool:
        """Tell whether a call would be refused now; for programs that ask before they work."""
        return self.gate.refuses()

    def record_success(self, *, took: float = 0.0) -> None:
        """Count a success for which no permit was taken; while the circuit is open it counts for nothing.

        Args:
            took: Seconds that the call took, for `SlowCalls`. Default 0.
        """
        self.gate.record(SUCCESS, took)

    def record_failure(self, error: BaseException | None = None, *, took: float = 0.0, weight: float = 1.0) -> None:
        """Count a failure for which no permit was taken; while the circuit is open it counts for nothing.

        Args:
            error: What happened, for the record.
            took: Seconds that the call took, for `SlowCalls`. Default 0.
            weight: How much of a failure it is, > 0. Default 1.
        """
        self.gate.record(Ruling(Verdict.FAILURE, in_words(error), weight), took)

    def cooldown_remaining(self) -> float:
        """Return the seconds until probes may start: 0 when it is not open, `inf` when held open by hand."""
        return self.gate.cooldown_remaining()

    @property
    def state(self) -> CircuitState:
        """Return the present state; an open circuit stays OPEN until a call asks after its time is over."""
        return self.gate.engine.state

    def snapshot(self) -> BreakerSnapshot:
        """Return the whole state as a frozen record."""
        return self.gate.snapshot()

    def force_open(self) -> None:
        """Refuse every call until `force_closed`, `disable` or `reset`."""
        self.gate.move(self.gate.engine.force_open)

    def force_closed(self) -> None:
        """Admit calls again, with nothing counted against them yet."""
        self.gate.move(self.gate.engine.force_closed)

    def disable(self) -> None:
        """Admit every call and count nothing until `force_closed`, `force_open` or `reset`."""
        self.gate.move(self.gate.engine.disable)

    def reset(self) -> None:
        """Return to the state of a new breaker, counts included."""
        self.gate.move(self.gate.engine.reset)

    def reconfigure(self, **settings: Any) -> tuple[str, ...]:
        """Go on under other settings; state, counts and what the windows have seen are kept.

        Functions that are decorated already follow. A circuit that is open stays so until the moment that
        was set. A window that looks over another time, or over more calls, begins empty.

        Args:
            **settings: As for the constructor; what is not named stays as it is. `trip` and
                `failure_threshold` replace each other, and so do `recovery` and `success_threshold`.

        Returns:
            A line for each thing that could not be kept.

        Raises:
            ConfigError: A setting is unknown or makes no sense; nothing has changed then.

        >>> breaker = CircuitBreaker(failure_threshold=5)
        >>> breaker.record_failure()
        >>> breaker.reconfigure(failure_threshold=2)
        ()
        >>> breaker.record_failure()
        >>> breaker.state.value
        'open'
        """
        return self.gate.reconfigure(self.gate.settings.changed(settings))

    def idle(self) -> bool:
        """Tell whether it is closed: nothing is held against its dependency, and no probe is under way."""
        return self.state is CircuitState.CLOSED

    def describe(self) -> str:
        """Say in one line what it does."""
        config, shadow = self.gate.engine.config, " (shadow: it only says so)" if self.gate.settings.shadow else ""
        opened = f"opens for {config.open_for:g} s after {trip_in_words(config.trip)}"
        rules = f"{opened}; {recovery_in_words(config.recovery)}"
        return f"circuit breaker {self.name!r}: {rules}{shadow}"

    def __repr__(self) -> str:
        """Show the settings and the whole state."""
        return f"CircuitBreaker({self._name!r}, {self.gate.engine.config!r}, {self.snapshot()!r})"
