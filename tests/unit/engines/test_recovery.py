import pytest

from outlast.engines import GradedRecovery, HalfOpen
from outlast.errors import ConfigError


@pytest.mark.parametrize(
    ("rule", "successes", "failures", "verdict"),
    [
        pytest.param(HalfOpen(success_threshold=2), 1, 0, None, id="threshold-not-yet"),
        pytest.param(HalfOpen(success_threshold=2), 2, 0, True, id="threshold"),
        pytest.param(HalfOpen(success_threshold=2), 1, 1, False, id="any-failure"),
        pytest.param(HalfOpen(success_ratio=0.7, probes=10), 6, 3, None, id="ratio-not-yet"),
        pytest.param(HalfOpen(success_ratio=0.7, probes=10), 7, 0, True, id="ratio-reached-early"),
        pytest.param(HalfOpen(success_ratio=0.7, probes=10), 0, 4, False, id="ratio-out-of-reach"),
        pytest.param(HalfOpen(success_ratio=1.0, probes=3), 2, 1, False, id="all-of-them"),
        pytest.param(HalfOpen(success_ratio=0.01, probes=3), 1, 0, True, id="one-of-them"),
    ],
)
def test_probes_are_judged(rule, successes, failures, verdict):
    """The rule says as soon as it can what the probes mean."""
    assert rule.judge(successes, failures) is verdict


@pytest.mark.parametrize("probes", range(1, 30))
def test_a_ratio_is_decided_in_the_end(probes):
    """After its number of probes a ratio has always decided, whatever they were."""
    rule = HalfOpen(success_ratio=0.7, probes=probes)

    assert all(rule.judge(good, probes - good) is not None for good in range(probes + 1))
    assert all(rule.judge(good, probes - good) is (good >= 0.7 * probes - 1e-9) for good in range(probes + 1))


def test_fraction_grows_evenly():
    """The admitted share grows from its start to everything."""
    rule = GradedRecovery(over_seconds=10.0, start=0.2)

    assert [round(rule.fraction(since), 9) for since in (0.0, 2.5, 5.0, 10.0, 11.0)] == [0.2, 0.4, 0.6, 1.0, 1.0]


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: HalfOpen(max_calls=0), "recovery.max_calls"),
        (lambda: HalfOpen(success_threshold=0), "recovery.success_threshold"),
        (lambda: HalfOpen(probe_expires_after=0), "recovery.probe_expires_after"),
        (lambda: HalfOpen(success_ratio=0), "recovery.success_ratio"),
        (lambda: HalfOpen(success_ratio=0.5, probes=0), "recovery.probes"),
        (lambda: GradedRecovery(over_seconds=0), "recovery.over_seconds"),
        (lambda: GradedRecovery(start=0.0), "recovery.start"),
        (lambda: GradedRecovery(start=True), "recovery.start"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_refused(make, path):
    """Rules that could never close the circuit are refused by name."""
    with pytest.raises(ConfigError) as caught:
        make()

    assert caught.value.path == path
