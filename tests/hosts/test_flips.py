"""Break one thing on a real host: the check fails. Restore it: the check passes again. flips.yaml says how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import look
from tests.lab.host import Host
from tests.lab.lab import Lab

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

FLIPS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "flips.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def own_host(lab: Lab) -> Callable[[str], Host]:
    """A host of a role for this module alone, since the tests change it."""
    started: dict[str, Host] = {}

    def get(role: str) -> Host:
        if role not in started:
            started[role] = lab.start(role, name=f"flip-{role}")
        return started[role]

    return get


def result(host: Host, check: str) -> str:
    assessment = look.judge(look.collect(host, "root", "--quick"))
    verdict = next(one for one in assessment.verdicts if check in (one.check.id, one.check.catalogue))
    return verdict.result.value


@pytest.mark.parametrize("flip", FLIPS, ids=lambda flip: f"{flip['check']}: {flip['what']}")
def test_broken_fails_and_restored_passes(flip: dict[str, Any], own_host: Callable[[str], Host]) -> None:
    host = own_host(flip["role"])
    kept = flip.get("kept", "pass")
    assert result(host, flip["check"]) == kept, "before anything was changed"

    host.run(flip["break"], timeout_s=120)
    broken = result(host, flip["check"])
    host.run(flip["restore"], timeout_s=120)

    assert broken == flip.get("broken", "fail")
    assert result(host, flip["check"]) == kept, "after it was restored"
