"""Laws of the histogram of recent latencies, against the sorted list of them."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from outlast.engines.latency import LatencyHistogram
from outlast.errors import ConfigError

SECONDS = st.floats(1e-6, 1e4) | st.sampled_from([0.5, 1.0, 2.0, 0.001])
SHARES = st.floats(0.001, 1.0)


def filled(samples, memory=10_000):
    """Make a histogram of samples."""
    histogram = LatencyHistogram(memory)
    for seconds in samples:
        histogram.add(seconds)
    return histogram


@given(samples=st.lists(SECONDS, min_size=1, max_size=200), share=SHARES)
def test_a_quantile_is_near_and_above(samples, share):
    """While nothing has faded, a quantile lies above the exact one, by a sixteenth at most."""
    exact = sorted(samples)[max(0, math.ceil(share * len(samples) - 1e-9) - 1)]

    assert exact < filled(samples).quantile(share) <= exact * (1 + 1 / 16) * (1 + 1e-12)


@given(samples=st.lists(SECONDS, min_size=1), shares=st.tuples(SHARES, SHARES))
def test_quantiles_rise(samples, shares):
    """A larger share has a larger quantile, or the same."""
    histogram = filled(samples)

    assert histogram.quantile(min(shares)) <= histogram.quantile(max(shares))


@given(seconds=st.floats(allow_nan=False), memory=st.integers(1, 50))
def test_anything_can_be_counted(seconds, memory):
    """Whatever a clock gives is counted, and quantiles stay finite and above 0."""
    histogram = filled([seconds] * 200, memory)

    assert 0 < histogram.quantile(0.95) < math.inf
    assert histogram.seen == 200


@given(before=SECONDS, after=SECONDS, memory=st.integers(1, 100))
def test_the_past_fades(before, after, memory):
    """Three times its memory later a histogram is ruled by what came since, whatever it had seen before."""
    histogram = filled([before] * 4 * memory + [after] * 3 * memory, memory)

    assert after < histogram.quantile(0.5) <= after * 17 / 16 * (1 + 1e-12)
    assert len(histogram._counts) <= 2


def test_nothing_is_known_at_first():
    """Without samples every quantile is infinite; repr shows what is known."""
    assert LatencyHistogram().quantile(0.5) == math.inf
    assert repr(filled([1.0])) == "LatencyHistogram(seen=1, p50=1.06, p95=1.06, p99=1.06)"


@pytest.mark.parametrize("memory", [0, -1, True])
def test_wrong_memory(memory):
    """A memory for nothing is refused."""
    with pytest.raises(ConfigError, match="memory"):
        LatencyHistogram(memory)
