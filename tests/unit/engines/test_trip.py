import pytest

from outlast.engines import AnyOf, ConsecutiveFailures, FailureRate, FailuresWithin, LeakyFailures, SlowCalls
from outlast.engines.trip import AnyWindow, carry_over
from outlast.errors import ConfigError

RULES = [
    ConsecutiveFailures(3),
    LeakyFailures(3),
    FailuresWithin(3, 10.0),
    FailureRate(0.5, over_calls=6),
    FailureRate(0.5, over_seconds=10.0, min_calls=4),
    SlowCalls(0.5, slower_than=1.0, over_calls=6),
    SlowCalls(0.5, slower_than=1.0, over_seconds=10.0),
]


def play(window, history, now=0.0):
    """Run calls that end as the letters say, a second apart, as the engine would; return the last reason."""
    ok, reason = 0, ""
    for letter in history:
        now += 1.0
        match letter:
            case "S":
                window.roll(ok, now)
                ok, reason = ok + 1, ""
            case "L":  # late: a slow success
                window.roll(ok, now)
                ok += 1
                reason = window.slow(ok, now, 2.0)
            case "F":
                reason = window.failure(ok, now)
            case "T":  # a slow failure
                reason = window.failure(ok, now, took=2.0)
            case ".":
                pass
    return reason


@pytest.mark.parametrize(
    ("rule", "history", "reason"),
    [
        pytest.param(ConsecutiveFailures(3), "FFSFF", "", id="row-broken"),
        pytest.param(ConsecutiveFailures(3), "FFSFFF", "3 failures in a row", id="row"),
        pytest.param(LeakyFailures(3), "FFSFF", "3 more failures than successes", id="leaky-pays-back-one"),
        pytest.param(LeakyFailures(3), "FSFSFSFS", "", id="leaky-alternating"),
        pytest.param(LeakyFailures(3), "SSSSSFF", "", id="leaky-has-no-credit-to-lose"),
        pytest.param(LeakyFailures(3), "SSSSSFFF", "3 more failures than successes", id="leaky-saves-no-credit"),
        pytest.param(FailuresWithin(3, 10.0), "FSSFSSF", "3 failures within 10 s", id="within"),
        pytest.param(FailuresWithin(3, 10.0), "FSSFSSSSSSF", "", id="first-too-old"),
        pytest.param(FailureRate(0.5, over_calls=6), "SSSFF", "", id="too-few-calls"),
        pytest.param(FailureRate(0.5, over_calls=6), "SSSFFF", "50% of the last 6 calls failed", id="rate-of-calls"),
        pytest.param(FailureRate(0.5, over_calls=6), "FFFSSSSF", "", id="old-failures-leave"),
        pytest.param(
            FailureRate(0.07, over_calls=100), "S" * 93 + "F" * 7, "7% of the last 100 calls failed", id="float"
        ),
        pytest.param(
            FailureRate(0.5, over_seconds=10.0, min_calls=4),
            "SSFF",
            "50% of the calls of the last 10 s failed",
            id="rate-over-time",
        ),
        pytest.param(FailureRate(0.5, over_seconds=10.0, min_calls=4), "FFF" + "S" * 10 + "F", "", id="old-ones-leave"),
        pytest.param(
            FailureRate(0.5, over_seconds=10.0, min_calls=4),
            "SSSSSSSS" + "." * 12 + "FFFF",
            "100% of the calls of the last 10 s failed",
            id="successes-before-a-silence-do-not-hide-an-outage",
        ),
        pytest.param(FailureRate(0.5, over_calls=6), "LLLLLL", "", id="rate-minds-no-slowness"),
        pytest.param(
            SlowCalls(0.5, slower_than=1.0, over_calls=6),
            "SSSLLL",
            "50% of the last 6 calls were slower than 1 s",
            id="slow-of-calls",
        ),
        pytest.param(SlowCalls(0.5, slower_than=1.0, over_calls=6), "SSSFFF", "", id="quick-failures-are-not-slow"),
        pytest.param(
            SlowCalls(0.5, slower_than=1.0, over_calls=6),
            "SSSTTT",
            "50% of the last 6 calls were slower than 1 s",
            id="slow-failures-are-slow",
        ),
        pytest.param(SlowCalls(0.5, slower_than=3.0, over_calls=6), "LLLLLL", "", id="own-limit"),
        pytest.param(
            SlowCalls(0.5, slower_than=1.0, over_seconds=10.0, min_calls=2),
            "SSSSSS" + "." * 12 + "LL",
            "100% of the calls of the last 10 s were slower than 1 s",
            id="slow-over-time",
        ),
    ],
)
def test_rules(rule, history, reason):
    """Each rule opens where its description says, and says why."""
    assert play(rule.start(), history) == reason


def test_silence_does_not_move_successes():
    """Successes are dated by the grain in which they came, not by when somebody looks again."""
    window = FailureRate(0.5, over_seconds=10.0, min_calls=2).start()
    window.roll(0, 100.0)
    reasons = [window.failure(50, 130.0), window.failure(50, 130.0)]

    assert reasons == ["", "100% of the calls of the last 10 s failed"]


def test_slow_success_dates_those_before_it():
    """A window that minds no slowness still learns the time from a slow success."""
    window = FailureRate(0.5, over_seconds=10.0, min_calls=2).start()
    window.roll(0, 100.0)
    window.slow(51, 130.0, 2.0)

    assert [window.failure(51, 131.0), window.failure(51, 131.0)] == [
        "50% of the calls of the last 10 s failed",
        "67% of the calls of the last 10 s failed",
    ]


def test_windows_are_their_own():
    """Each closed era gets a window that knows nothing of the last one."""
    rule = ConsecutiveFailures(2)
    first, second = rule.start(), rule.start()

    assert [first.failure(0, 1.0), second.failure(0, 1.0), first.failure(0, 1.0)] == ["", "", "2 failures in a row"]


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        (ConsecutiveFailures(2), 4),
        (LeakyFailures(2), 4),
        (FailuresWithin(2, 60.0), 4),
        (FailureRate(0.2, over_calls=10, min_calls=4), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_add_up(rule, times):
    """Failures of half the weight take twice as many."""
    window = rule.start()
    reasons = [window.failure(0, 1.0, weight=0.5) for _ in range(times)]

    assert [bool(reason) for reason in reasons] == [False] * (times - 1) + [True]


def test_weights_forget_rounding():
    """Ten tenths are one."""
    window = FailuresWithin(1, 60.0).start()

    assert [bool(window.failure(0, 1.0, weight=0.1)) for _ in range(10)] == [False] * 9 + [True]


def test_any_of_opens_when_either_does():
    """Each part counts for itself; the first reason is given."""
    rule = ConsecutiveFailures(2) | FailuresWithin(3, 60.0) | SlowCalls(1.0, slower_than=1.0, over_calls=2)

    assert isinstance(rule, AnyOf)
    assert len(rule.rules) == 3
    assert play(rule.start(), "FF") == "2 failures in a row"
    assert play(rule.start(), "FSFSF") == "3 failures within 60 s"
    assert play(rule.start(), "SLL") == "100% of the last 2 calls were slower than 1 s"


def test_any_of_asks_for_the_finest():
    """Together the rules need the finest grain and the lowest limit of them, and each compares with its own."""
    rule = (
        FailureRate(0.5, over_seconds=30.0)
        | SlowCalls(1.0, slower_than=2.0, over_seconds=10.0)
        | (ConsecutiveFailures() | SlowCalls(1.0, slower_than=1.0, over_calls=1))
    )

    assert (rule.grain, rule.slow_limit) == (1.0, 1.0)
    assert rule.start().slow(1, 1.0, 1.5) == "100% of the last 1 calls were slower than 1 s"
    assert (ConsecutiveFailures().grain, ConsecutiveFailures().slow_limit) == (None, None)
    assert ((ConsecutiveFailures() | LeakyFailures()).grain, AnyOf((LeakyFailures(),)).slow_limit) == (None, None)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_window_goes_on_under_its_rule(rule):
    """What a window has seen counts on when the same rule takes it over."""
    window = rule.start()
    play(window, "SSLTF")
    kept, lost = carry_over(rule, window, 3)

    assert (kept, lost) == (window, [])


@pytest.mark.parametrize(
    ("old", "new", "history", "then", "reason"),
    [
        (ConsecutiveFailures(9), ConsecutiveFailures(3), "FF", 1, "3 failures in a row"),
        (LeakyFailures(9), LeakyFailures(3), "FF", 1, "3 more failures than successes"),
        (FailuresWithin(9, 99.0), FailuresWithin(3, 60.0), "FF", 1, "3 failures within 60 s"),
        (
            FailureRate(1.0, over_calls=9),
            FailureRate(0.5, over_calls=4),
            "FFF",
            1,
            "100% of the last 4 calls failed",
        ),
        (
            FailureRate(1.0, over_seconds=9.0),
            FailureRate(0.5, over_seconds=9.0, min_calls=2),
            "SF",
            1,
            "67% of the calls of the last 9 s failed",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_kept_windows_obey_the_new_limits(old, new, history, then, reason):
    """A window that is kept is judged by the new numbers, with what it has seen before."""
    window, lost = carry_over(new, old.start(), 0)
    play(window, history)
    assert lost == []

    assert [window.failure(history.count("S"), 4.0) for _ in range(then)][-1] == reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ConsecutiveFailures(3), LeakyFailures(3)),
        (LeakyFailures(3), FailuresWithin(3, 9.0)),
        (FailuresWithin(3, 9.0), ConsecutiveFailures(3)),
        (FailureRate(0.5, over_seconds=9.0), FailureRate(0.5, over_seconds=8.0)),
        (FailureRate(0.5, over_calls=9), FailureRate(0.5, over_calls=10)),
        (FailureRate(0.5, over_calls=9), FailureRate(0.5, over_seconds=9.0)),
        (FailureRate(0.5, over_seconds=9.0), FailureRate(0.5, over_calls=9)),
        (FailureRate(0.5, over_calls=9), SlowCalls(0.5, slower_than=1.0, over_calls=9)),
        (SlowCalls(0.5, slower_than=1.0, over_calls=9), SlowCalls(0.5, slower_than=1.0, over_calls=99)),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_what_cannot_be_kept_begins_empty_and_is_said(old, new):
    """A window that looks at other things begins anew; successes from before are not counted in it."""
    window, lost = carry_over(new, old.start(), 1000)

    assert lost == [f"{new!r} begins with an empty window"]
    window.roll(1000, 1.0)
    assert [window.failure(1000, 1.0, took=2.0) for _ in range(10)][-1]


def test_parts_of_a_combination_are_kept_one_by_one():
    """Of rules combined, those that are still there keep their windows, in whatever order they stand."""
    old = (ConsecutiveFailures(3) | FailuresWithin(3, 9.0)).start()
    play(old, "FF")
    window, lost = carry_over(FailuresWithin(3, 9.0) | LeakyFailures(9) | ConsecutiveFailures(4), old, 0)

    assert isinstance(window, AnyWindow)
    assert lost == ["LeakyFailures(threshold=9) begins with an empty window"]
    assert window.failure(0, 3.0) == "3 failures within 9 s"
    assert window.failure(0, 3.0) == "4 failures within 9 s"
    assert window.windows[2].failure(0, 99.0) == "5 failures in a row"


def test_combinations_in_combinations_begin_anew():
    """A window of a combination put together by hand is not looked into."""
    inner = AnyOf((ConsecutiveFailures(3), LeakyFailures(3)))

    assert not inner.adopt(inner.start())


@pytest.mark.parametrize(
    ("make", "path"),
    [
        pytest.param(lambda: ConsecutiveFailures(0), "failure_threshold", id="no-failures"),
        pytest.param(lambda: ConsecutiveFailures(True), "failure_threshold", id="true"),
        pytest.param(lambda: ConsecutiveFailures(2.5), "failure_threshold", id="half-a-failure"),
        pytest.param(lambda: LeakyFailures(0), "threshold", id="leaky"),
        pytest.param(lambda: FailuresWithin(0, 1.0), "threshold", id="within-none"),
        pytest.param(lambda: FailuresWithin(1, 0.0), "seconds", id="within-no-time"),
        pytest.param(lambda: FailuresWithin(1, "60"), "seconds", id="text"),
        pytest.param(lambda: FailureRate(0.0, over_calls=5), "rate", id="rate-zero"),
        pytest.param(lambda: FailureRate(50, over_calls=5), "rate", id="percent"),
        pytest.param(lambda: FailureRate("50%", over_calls=5), "rate", id="rate-text"),
        pytest.param(lambda: FailureRate(0.5), "over_seconds", id="over-nothing"),
        pytest.param(lambda: FailureRate(0.5, over_calls=5, over_seconds=5.0), "over_seconds", id="over-both"),
        pytest.param(lambda: FailureRate(0.5, over_seconds=float("inf")), "over_seconds", id="over-all-time"),
        pytest.param(lambda: FailureRate(0.5, over_calls=0), "over_calls", id="over-no-calls"),
        pytest.param(lambda: FailureRate(0.5, over_calls=5, min_calls=6), "min_calls", id="never-enough"),
        pytest.param(lambda: FailureRate(0.5, over_seconds=5.0, min_calls=0), "min_calls", id="min-calls"),
        pytest.param(lambda: SlowCalls(0.5, slower_than=0.0, over_calls=5), "slower_than", id="slower-than-nothing"),
        pytest.param(lambda: AnyOf(()), "trip", id="any-of-none"),
    ],
)
def test_nonsense_is_refused(make, path):
    """Settings under which a rule could never open, or always would, are refused by name."""
    with pytest.raises(ConfigError) as caught:
        make()

    assert caught.value.path == path
