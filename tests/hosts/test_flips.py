"""Break one thing on a real host: the check fails. Restore it: the check passes again. flips.yaml says how.

A flip is {check, what, role, break, restore}, and where it differs from the defaults: kept (pass; a list where the mirror or the day decides) and
broken (fail), the two results; full (false): look without --quick, for what walks the file system; passwords (false): test them;
profile (campus-L1); user (root; `ops` looks with sudo); prepare: what is done first, and stays. What the owner declares is broken by break_site:
words of the site file and what stands in their place. Every check is there, or in unflippable.yaml with the reason (tests/checks/test_flipped.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import look
from tests.hosts.own_host import OwnHost
from tutela.site import Site

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

FLIPS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "flips.yaml").read_text("utf-8"))


def result(host: OwnHost, flip: dict[str, Any], declared: Site | None = None) -> str:
    options = (*(() if flip.get("full") else ("--quick",)), *(("--passwords",) if flip.get("passwords") else ()))
    assessment = look.judge(host.look(flip.get("user", "root"), *options), declared, profile=flip.get("profile", "campus-L1"))
    return next(one for one in assessment.verdicts if flip["check"] in (one.check.id, one.check.catalogue)).result.value


@pytest.mark.parametrize("flip", FLIPS, ids=lambda flip: f"{flip['check']}: {flip['what']}")
def test_broken_fails_and_restored_passes(flip: dict[str, Any], own_host: Callable[[str], OwnHost]) -> None:
    host = own_host(flip["role"])
    kept, broken = flip.get("kept", "pass"), flip.get("broken", "fail")
    kept = kept if isinstance(kept, list) else [kept]
    if "prepare" in flip:
        host.run(flip["prepare"])
    before = result(host, flip)

    if "break" in flip:
        host.run(flip["break"])
    try:
        changed = result(host, flip, look.site(flip["break_site"]) if "break_site" in flip else None)
    finally:
        if "restore" in flip:
            host.run(flip["restore"])

    assert before in kept
    assert (changed, result(host, flip)) == (broken, before)
