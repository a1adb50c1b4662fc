"""Hosts that a look at files alone, or at one usual way alone, would judge wrongly. remarkable.yaml holds those that a host can be made into.

A case is {what, role, make, unmake, says, because, profile, full (false: look with --quick)}: once `make` ran, each check of `says` comes to that result, and the reason for it
has the words of `because` in it; `unmake` puts the host back, and then each comes to what it came to before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts import look
from tests.hosts.own_host import OwnHost
from tests.lab.host import Host
from tutela.assess import Assessment
from tutela.assess.verdict import Verdict
from tutela.checks import Outcome
from tutela.evidence import Reason, Status
from tutela.facts import last_logins

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "remarkable.yaml").read_text("utf-8"))


def verdicts(assessment: Assessment) -> dict[str, Verdict]:
    return {verdict.check.catalogue or verdict.check.id: verdict for verdict in assessment.verdicts}


def results(assessment: Assessment, checks: list[str]) -> dict[str, str]:
    said = verdicts(assessment)
    return {check: said[check].result.value for check in checks}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_a_remarkable_host_is_judged_rightly(case: dict[str, Any], own_host: Callable[[str], OwnHost]) -> None:
    host, profile, checks = own_host(case["role"]), case.get("profile", "campus-L1"), list(case["says"])
    options = () if case.get("full") else ("--quick",)
    before = results(look.judge(host.look("root", *options), profile=profile), checks)

    host.run(case["make"])
    try:
        made = look.judge(host.look("root", *options), profile=profile)
    finally:
        host.run(case["unmake"])

    assert results(made, checks) == case["says"]
    for check, words in case.get("because", {}).items():
        reason = verdicts(made)[check].reason
        assert reason is not None
        assert words in reason.en
    assert results(look.judge(host.look("root", *options), profile=profile), checks) == before


def test_a_host_without_python_and_systemd_is_judged_or_unknown_with_a_reason(lab_host: Callable[[str], Host]) -> None:
    host = lab_host("no-systemd-no-python")
    assert host.run("for one in python3 systemctl ss nft iptables; do command -v $one || true; done").stdout == ""

    said = verdicts(look.judge(look.collect(host, "root", "--quick")))

    assert {check: said[check].result.value for check in ("H-003", "H-011", "H-028", "H-029")} == dict.fromkeys(("H-003", "H-011", "H-028", "H-029"), "pass")
    assert {check: said[check].result.value for check in ("H-005", "H-017", "H-043")} == dict.fromkeys(("H-005", "H-017", "H-043"), "fail")
    # No tool there can tell which packets pass, and busybox syslogd -R has no configuration: neither is taken for open or silent.
    unknown = {check: said[check] for check in ("H-020", "H-021", "H-026", "H-050", "H-052", "H-054")}
    assert {check: one.result.value for check, one in unknown.items()} == dict.fromkeys(unknown, "unknown")
    assert "without systemd" in unknown["H-050"].reason.en  # type: ignore[union-attr]


@pytest.mark.parametrize("role", ["no-systemd-no-python", "iptables-legacy-host", "plain"])
@pytest.mark.parametrize("user", ["root", "ops"])
def test_what_is_unknown_has_a_reason(role: str, user: str, lab_host: Callable[[str], Host]) -> None:
    unknown = [one for one in look.judge(look.collect(lab_host(role), user, "--quick")).verdicts if one.result is Outcome.UNKNOWN]

    assert unknown != []
    assert [one.check.id for one in unknown if one.code is None or one.reason is None or not one.reason.en or not one.reason.zh] == []


def test_what_an_ordinary_user_has_in_the_journal_is_not_taken_for_the_logins_of_the_host(lab_host: Callable[[str], Host]) -> None:
    host = lab_host("plain")
    host.ssh("logger -p authpriv.info 'pam_unix(sshd:session): session opened for user forged(uid=0) by root(uid=0)'; sudo -n true", user="ops")

    own, whole = (look.collect(host, *words)[last_logins.JOURNAL] for words in (("ops",), ("ops", "--become")))

    assert own.status is Status.DENIED
    assert whole.status is Status.OK
    assert b"\nops " in b"\n" + whole.content
    assert b"forged" not in whole.content


def test_sshd_on_another_port_is_found_and_judged(lab_host: Callable[[str], Host]) -> None:
    said = verdicts(look.judge(look.collect(lab_host("iptables-legacy-host"), "root", "--quick")))

    assert said["H-026"].result is Outcome.FAIL
    assert any("2222" in str(line) for one in said["H-026"].observations for line in one.observed)
    assert said["H-028"].result is Outcome.FAIL  # the Match block of one network lets passwords in


def test_an_ordinary_user_sees_an_sshd_for_each_connection_as_far_as_root_does(own_host: Callable[[str], OwnHost]) -> None:
    """The same host as above; what only root may read is unknown to him, nothing else is, and nothing does not apply."""
    case = next(one for one in CASES if one["what"].startswith("one sshd for each connection, which"))
    host = own_host(case["role"])
    host.run(case["make"])
    try:
        said = verdicts(look.judge(look.collect(host.host, "ops", "--quick")))
    finally:
        host.run(case["unmake"])

    assert {check: said[check].result.value for check in ("H-027", "H-028", "H-029", "H-032")} == dict.fromkeys(("H-027", "H-028", "H-029"), "pass") | {
        "H-032": "unknown"
    }
    unknown = {check: said[check] for check in ("H-026", "H-030", "H-031", "H-032", "H-033", "H-036")}
    assert {check: (one.result.value, one.code) for check, one in unknown.items()} == dict.fromkeys(unknown, ("unknown", Reason.PRIVILEGE))
