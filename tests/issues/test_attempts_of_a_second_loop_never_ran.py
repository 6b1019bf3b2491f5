"""The loop form used a second time ran its body not at all, and said nothing."""

import pytest

from outlast.errors import ConfigError
from outlast.policies import Retry


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "succeeds"])
def test_a_second_loop_is_refused(face, fails):
    """Whether the first loop failed or succeeded, a second one over the same object is an error, not a no-op."""
    attempts = Retry(2, on=ConnectionError, backoff=0, **face.around).attempts()
    runs = []

    def body(attempt):
        runs.append(attempt.number)
        if fails:
            raise ConnectionError

    if fails:
        with pytest.raises(ConnectionError):
            face.loop(attempts, body)
    else:
        face.loop(attempts, body)
    with pytest.raises(ConfigError, match=r"call attempts\(\) for each loop"):
        face.loop(attempts, body)

    assert runs == ([1, 2] if fails else [1])


def test_an_iterator_of_the_loop_may_be_taken_by_hand():
    """`iter()` of it is itself while its loop has not ended, as of every iterator."""
    attempts = iter(Retry(2).attempts())

    for attempt in attempts:
        with attempt:
            assert attempt.number == 1
