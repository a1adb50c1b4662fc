"""What README.md says of each distribution: proven on a real host of it, or judged here from constructed evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import scenes
from tests.lab.role import load_role
from tutela.assess.assessment import assess_check
from tutela.facts import platform
from tutela.facts.reference import Platform

HERE = Path(__file__).parent
RELEASES = {
    "almalinux-9": 'ID="almalinux"\nVERSION_ID="9.8"\nVERSION="9.8"\nID_LIKE="rhel centos fedora"',
    "almalinux-10": 'ID="almalinux"\nVERSION_ID="10.2"\nVERSION="10.2"\nID_LIKE="rhel centos fedora"',
    "rocky-9": 'ID="rocky"\nVERSION_ID="9.8"\nVERSION="9.8 (Blue Onyx)"\nID_LIKE="rhel centos fedora"',
    "rocky-10": 'ID="rocky"\nVERSION_ID="10.2"\nVERSION="10.2 (Red Quartz)"\nID_LIKE="rhel centos fedora"',
    "openeuler-24.03": 'ID="openEuler"\nVERSION_ID="24.03"\nVERSION="24.03 (LTS-SP3)"\nPRETTY_NAME="openEuler 24.03 (LTS-SP3)"',
    "ubuntu-22.04": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nVERSION="22.04.5 LTS (Jammy Jellyfish)"\nVERSION_CODENAME=jammy',
    "ubuntu-24.04": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION="24.04.4 LTS (Noble Numbat)"\nVERSION_CODENAME=noble',
    "ubuntu-26.04": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="26.04"\nVERSION="26.04 LTS (Resolute Raccoon)"\nVERSION_CODENAME=resolute',
}
LOCKOUT = {"debian": "debian-faillock.pass", "rhel": "rhel-authselect.pass"}
PLATFORMS = {row.id: row for row in scenes.content().reference.platforms}


def result(check: str, scene: dict[str, Any]) -> str:
    content = scenes.content()
    return assess_check(content.checks[check], scenes.look(scene), content, (content.default_profile,), {}).result.value


def scene_of(name: str, row: Platform, **sources: str) -> dict[str, Any]:
    """A scene of another distribution, as it would be on this one."""
    scene = scenes.load(HERE / f"{name}.yaml")
    scene["sources"] |= {"/etc/os-release": RELEASES[row.id], **sources}
    return scene


def test_each_distribution_is_proven_on_a_host_that_is_broken_and_restored_or_judged_here() -> None:
    flips = yaml.safe_load((HERE.parent / "hosts" / "flips.yaml").read_text("utf-8"))
    suites = {"bullseye": "debian-11", "bookworm": "debian-12", "trixie": "debian-13"}
    flipped = {suites[load_role(flip["role"]).suite] for flip in flips}

    assert {row.id for row in PLATFORMS.values() if row.proven == "real"} == flipped
    assert {row.id for row in PLATFORMS.values() if row.proven == "constructed"} == set(RELEASES)
    assert {row.proven for row in PLATFORMS.values()} <= {"real", "constructed", "not-yet"}


@pytest.mark.parametrize("name", RELEASES)
def test_a_distribution_is_judged_by_its_own_accounts_groups_and_pam_files(name: str) -> None:
    row = PLATFORMS[name]
    group = row.admin_groups[0]

    assert scenes.look({"sources": {"/etc/os-release": RELEASES[name]}}).fact(platform.parse) is row
    # Rocky and Alma serve their newest minor release only, and which that is the table cannot know.
    newest_only = row.match_id in ("rocky", "almalinux")
    assert result("os-supported", scene_of("os-supported/debian-13.pass", row)) == ("unknown" if newest_only else "pass")
    assert result("service-accounts-closed", scene_of("service-accounts-closed/postgres-locked.pass", row)) == "pass"
    assert result("admin-group", scene_of("admin-group/declared.pass", row, **{"/etc/group": f"root:x:0:\n{group}:x:10:ops"})) == "pass"
    assert result("admin-group", scene_of("admin-group/declared.pass", row, **{"/etc/group": f"root:x:0:\n{group}:x:10:ops,eve"})) == "fail"
    assert result("account-lockout", scene_of(f"account-lockout/{LOCKOUT[row.family]}", row)) == "pass"
    assert set(row.pam["auth"]) <= set(scene_of(f"account-lockout/{LOCKOUT[row.family]}", row)["sources"])
