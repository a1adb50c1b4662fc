from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import look
from tests.lab.lab import Lab


@pytest.fixture(scope="session", autouse=True)
def log_centre(lab: Lab) -> Iterator[None]:
    with look.log_centre(lab):
        yield
