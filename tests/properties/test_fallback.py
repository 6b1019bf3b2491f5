"""Laws of a rescue: every link once at most, in order, and each call counted once."""

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.fallback import FallbackEngine, FallbackSnapshot, Rescue

CALLS = st.lists(st.none() | st.tuples(st.integers(0, 5), st.booleans()), max_size=20)


@given(links=st.integers(1, 4), calls=CALLS)
def test_counts(links, calls):
    """A rescue ends with the first link that answers, fails with the last, and a cancelled one counts for nothing."""
    engine, ok, failed, passed = FallbackEngine(links), 0, 0, 0
    for call in calls:
        if call is None:
            engine.passed()
            passed += 1
            continue
        failures, cancelled = call
        rescue, again = Rescue(links, OSError("first")), True
        for number in range(min(failures, links)):
            assert rescue.link == number
            again = rescue.failed(KeyError(number))
            assert again == (number + 1 < links)
        if again and not cancelled:
            rescue.succeeded()
        engine.ended(rescue)
        ok += again and not cancelled
        failed += not again
        assert str(rescue.first) == "first"
        assert len(rescue.earlier) == min(failures, links)
    assert engine.snapshot() == FallbackSnapshot(0, ok, failed, passed)
