import pytest

from outlast.engines import parse_retry_after

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
AT = 1445412480.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="not-said"),
        pytest.param({"retry-after": "5"}, 5.0, id="seconds"),
        pytest.param({"Retry-After": "5"}, 5.0, id="name-as-given"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="decimals"),
        pytest.param({"retry-after": " 5 "}, 5.0, id="spaces"),
        pytest.param({"retry-after": "-5"}, 0.0, id="negative"),
        pytest.param({"retry-after": "nan"}, None, id="not-a-number"),
        pytest.param({"retry-after": "inf"}, None, id="infinite"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="milliseconds-win"),
        pytest.param({"retry-after-ms": "x", "retry-after": "9"}, 9.0, id="bad-milliseconds"),
        pytest.param({"retry-after": DATE}, 60.0, id="date"),
        pytest.param({"retry-after": DATE, "date": "Wed, 21 Oct 2015 07:27:30 GMT"}, 30.0, id="date-against-date"),
        pytest.param({"retry-after": DATE, "date": "Wed, 21 Oct 2015 07:29:00 GMT"}, 0.0, id="past"),
        pytest.param({"retry-after": DATE, "date": "yesterday"}, 60.0, id="bad-date"),
        pytest.param({"retry-after": "Wednesday, 21-Oct-15 07:28:00 GMT"}, 60.0, id="old-date-form"),
        pytest.param({"retry-after": "Wed Oct 21 07:28:00 2015"}, 60.0, id="asctime"),
        pytest.param({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 60.0, id="no-zone"),
        pytest.param({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None, id="no-such-day"),
        pytest.param({"retry-after": "Wed, 21 Oct 2015 07:28:00 +9999"}, None, id="no-such-zone"),
    ],
)
def test_forms(headers, seconds):
    """Every form of RFC 9110 is read, and nonsense counts as not said."""
    assert parse_retry_after(headers, wall=AT - 60) == seconds
