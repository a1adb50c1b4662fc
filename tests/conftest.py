from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# No timed assertions: a slow machine must not fail a test. Under CI the examples are the same at each run.
settings.register_profile("tutela", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=os.environ.get("CI") == "true")
settings.load_profile("tutela")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden files with what the program says now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root, or a program that is missing, is left out for an ordinary user here and nowhere else.

    Root has every program in dev/packages.txt, by dev/test: one that is missing there is a failure.
    """
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") or item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason="needs root, as which dev/test runs it: it names users, mounts and network namespaces"))
        missing = [name for marker in item.iter_markers("program") for name in marker.args if shutil.which(name) is None]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)} (dev/packages.txt)"))


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under CI nothing may be left out: a skip means that something is missing, and that is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI counts as a failure: {report.longrepr}"
