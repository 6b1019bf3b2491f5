from __future__ import annotations

import pytest


@pytest.fixture
def path(tmp_path):
    """The file of an outbox that is not there yet."""
    return tmp_path / "app.db"


# Looked at for examples they would be imported, and Django does not like to be half set up.
collect_ignore = ["celery_notes.py", "django_shop.py", "flask_notes.py"]
