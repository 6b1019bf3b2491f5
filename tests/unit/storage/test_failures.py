import pytest

from outlast.errors import (
    CorruptError,
    NotOursError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from outlast.storage._failures import translate

WRITE, READ = 10 | (3 << 8), 10 | (1 << 8)


def driver_error(name, **facts):
    """Make an error of the driver, which need not be installed for this."""
    error = type(name, (Exception,), {"__module__": "apsw"})("detail")
    error.__dict__.update(facts)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(driver_error("FullError"), StorageFullError, id="full"),
        pytest.param(driver_error("IOError", extendedresult=WRITE), StorageFullError, id="failed-write"),
        pytest.param(driver_error("IOError", extendedresult=READ), StorageError, id="failed-read"),
        pytest.param(driver_error("BusyError"), StorageBusyError, id="busy"),
        pytest.param(driver_error("CorruptError"), CorruptError, id="corrupt"),
        pytest.param(driver_error("NotADBError"), NotOursError, id="no-database"),
        pytest.param(driver_error("ConstraintError"), StorageError, id="anything-else"),
    ],
)
def test_driver_errors_are_translated(error, expected):
    """Each of the driver's errors becomes one that names the file, says what to do and keeps the original."""
    found = translate(error, "app.db")

    assert type(found) is expected
    assert str(found).startswith("app.db: ")
    assert "detail" in str(found)
    assert found.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("mine"), StorageFullError("ours")], ids=repr)
def test_other_errors_stay_as_they_are(error):
    """Errors of outlast and of users' jobs are not translated."""
    assert translate(error, "app.db") is error
