"""Break one thing on a real host: the check fails. Restore it: the check passes again. flips.yaml says how.

A flip is {check, what, role, break, restore}, and where it differs from the defaults: kept (pass) and broken (fail), the two results;
full (false): look without --quick, for what walks the file system; profile (campus-L1); user (root; `ops` looks with sudo).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import look
from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.evidence import Bundle

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

FLIPS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "flips.yaml").read_text("utf-8"))


class OwnHost:
    """A host for this module alone, since the tests change it. What was seen after one was restored is what the next one finds."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.seen: dict[tuple[str, bool], Bundle] = {}

    def look(self, flip: dict[str, Any]) -> str:
        user, full = flip.get("user", "root"), flip.get("full", False)
        if (user, full) not in self.seen:
            more = [*([] if full else ["--quick"]), *([] if user == "root" else ["--become"])]
            self.seen[user, full] = look.collect(self.host, user, *more)
        assessment = look.judge(self.seen[user, full], profile=flip.get("profile", "campus-L1"))
        verdict = next(one for one in assessment.verdicts if flip["check"] in (one.check.id, one.check.catalogue))
        return verdict.result.value

    def run(self, script: str) -> None:
        # systemd refuses a unit that is started more often than anybody would.
        self.host.run(f"systemctl reset-failed\n{script}", timeout_s=120)
        self.seen.clear()


@pytest.fixture(scope="module")
def own_host(lab: Lab) -> Callable[[str], OwnHost]:
    started: dict[str, OwnHost] = {}

    def get(role: str) -> OwnHost:
        if role not in started:
            started[role] = OwnHost(lab.start(role, name=f"flip-{role}"))
        return started[role]

    return get


@pytest.mark.parametrize("flip", FLIPS, ids=lambda flip: f"{flip['check']}: {flip['what']}")
def test_broken_fails_and_restored_passes(flip: dict[str, Any], own_host: Callable[[str], OwnHost]) -> None:
    host = own_host(flip["role"])
    kept, broken = flip.get("kept", "pass"), flip.get("broken", "fail")
    before = host.look(flip)

    host.run(flip["break"])
    try:
        changed = host.look(flip)
    finally:
        host.run(flip["restore"])

    assert (before, changed, host.look(flip)) == (kept, broken, kept)
