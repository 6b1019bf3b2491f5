from outlast.engines import ConsecutiveFailures


def test_windows_are_their_own():
    """Each closed era gets a window that knows nothing of the last one."""
    rule = ConsecutiveFailures(2)
    first, second = rule.start(), rule.start()

    assert [first.failure(0, 1.0), second.failure(0, 1.0), first.failure(0, 1.0)] == ["", "", "2 failures in a row"]
