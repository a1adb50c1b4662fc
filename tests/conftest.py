from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

# No timed assertions: a slow machine must not fail a test. Under CI the examples are the same at each run.
settings.register_profile("tutela", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=os.environ.get("CI") == "true")
settings.load_profile("tutela")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden files with what the program says now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs root, or a program that is missing, is left out for an ordinary user here and nowhere else.

    Root has every program in dev/packages.txt, by dev/test: one that is missing there is a failure.
    """
    # What takes longest begins first: who is done with the real hosts helps with the rest.
    items.sort(key=lambda item: item.get_closest_marker("lab") is None)
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root") or item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason="needs root, as which dev/test runs it: it names users, mounts and network namespaces"))
        missing = [name for marker in item.iter_markers("program") for name in marker.args if shutil.which(name) is None]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)} (dev/packages.txt)"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """dev/test runs two files side by side, but those with real hosts one after the other: there is one lab, and the kernel has room for few more hosts."""
    from xdist.scheduler import LoadFileScheduling

    class OneLab(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "the lab" if with_hosts(config.rootpath / file) else file

    return OneLab(config, log)


@cache
def with_hosts(file: Path) -> bool:
    """Whether a file of tests has real hosts: it says so itself (tests/lab/fixtures.py)."""
    return '"tests.lab.fixtures"' in file.read_text("utf-8")


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
