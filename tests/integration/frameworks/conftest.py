from __future__ import annotations

import pytest


@pytest.fixture
def path(tmp_path):
    """The file of an outbox that is not there yet."""
    return tmp_path / "app.db"
