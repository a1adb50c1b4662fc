"""What tests in any folder ask for to get real hosts.

A test module says `pytest_plugins = ["tests.lab.fixtures"]` to have them; however many modules say
it, there is one lab.

`lab` is one lab for the whole session, made when the first test asks for it. `lab_host(role)` is a
host of that role, started once and shared: for tests that only look. A test that changes a host
starts one for itself: `lab.start(role, name="mine")`, and `lab.stop(host)` at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.host import Host
from tests.lab.lab import Lab

__all__ = ["lab", "lab_host"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The session's lab."""
    with Lab() as made:
        yield made


@pytest.fixture(scope="session")
def lab_host(lab: Lab) -> Callable[[str], Host]:
    """A function that gives the shared host of a role, started at the first call."""
    started: dict[str, Host] = {}

    def get(role: str) -> Host:
        if role not in started:
            started[role] = lab.start(role)
        return started[role]

    return get
