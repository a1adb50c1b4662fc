from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.hosts import look
from tests.hosts.own_host import OwnHost
from tests.lab.lab import Lab


@pytest.fixture(scope="session", autouse=True)
def log_centre(lab: Lab) -> Iterator[None]:
    with look.log_centre(lab):
        yield


@pytest.fixture(scope="module")
def own_host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[[str], OwnHost]]:
    """A function that gives this module's own host of a role, started at the first call and stopped after the module's last test."""
    module = request.module.__name__.rpartition("_")[2]
    started: dict[str, OwnHost] = {}

    def get(role: str) -> OwnHost:
        if role not in started:
            started[role] = OwnHost(lab.start(role, name=f"{module}-{role}"))
        return started[role]

    yield get
    for one in started.values():
        lab.stop(one.host)
