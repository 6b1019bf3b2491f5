import email.utils
import math

import hypothesis.strategies as st
from hypothesis import example, given

from outlast.engines import parse_retry_after

DATES = st.builds(
    "{}, {:02} {} {:04} {:02}:{:02}:{:02} {}".format,
    st.sampled_from(["Mon", "Tue", "Xyz"]),
    st.integers(0, 40),
    st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
    st.integers(0, 12_000),
    st.integers(0, 30),
    st.integers(0, 70),
    st.integers(0, 70),
    st.sampled_from(["GMT", "-0000", "+2359", "-9999", "+99999", "PST", ""]),
)
TEXTS = st.text(max_size=40) | DATES | st.floats().map(repr) | st.integers().map(str)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "Retry-After", "retry-after-ms", "Retry-After-Ms", "date", "Date"]), TEXTS
)


@given(headers=HEADERS, wall=st.floats(0, 4e9))
@example(headers={"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, wall=0.0)
@example(headers={"retry-after": "1e400"}, wall=0.0)
@example(headers={"retry-after": "9" * 5000}, wall=0.0)
def test_never_raises(headers, wall):
    """Whatever a server sends, the answer is a number of seconds, at least 0, or None."""
    seconds = parse_retry_after(headers, wall)

    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@given(now=st.integers(10**9, 4 * 10**9), wait=st.integers(-1000, 10**6), skew=st.floats(-1e6, 1e6))
def test_dates_do_not_depend_on_our_clock(now, wait, skew):
    """A date counts from the answer's own date, however wrong our clock is."""
    headers = {
        "retry-after": email.utils.formatdate(now + wait, usegmt=True),
        "date": email.utils.formatdate(now, usegmt=True),
    }

    assert parse_retry_after(headers, now + skew) == max(0, wait)
