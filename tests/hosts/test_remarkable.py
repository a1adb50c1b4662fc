"""What a look at files alone, or at one kind of host alone, would get wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import look
from tests.lab.host import Host
from tests.lab.lab import Lab
from tutela.assess import Assessment
from tutela.collect.archive import write_bundle
from tutela.language import Lang
from tutela.report import FORMATS, Options

pytest_plugins = ["tests.lab.fixtures"]
pytestmark = [pytest.mark.lab, pytest.mark.root]

SITE = look.HERE / "site.yaml"


def results(assessment: Assessment) -> dict[str, str]:
    return {verdict.check.catalogue or verdict.check.id: verdict.result.value for verdict in assessment.verdicts}


def unproven_without_reason(assessment: Assessment) -> list[str]:
    return [verdict.check.id for verdict in assessment.verdicts if verdict.result.value == "unknown" and (verdict.reason is None or verdict.code is None)]


# --- unusual hosts


def test_a_host_without_python_and_systemd_is_judged_or_unknown_with_a_reason(lab_host: Callable[[str], Host]) -> None:
    host = lab_host("no-systemd-no-python")
    assert host.run("command -v python3 perl systemctl ss nft iptables", check=False).stdout == ""

    assessment = look.judge(look.collect(host))

    said = results(assessment)
    assert (said["H-003"], said["H-011"], said["H-028"], said["H-029"]) == ("pass",) * 4
    assert (said["H-005"], said["H-017"], said["H-043"]) == ("fail",) * 3
    # No tool there can tell which packets pass; that is said, and not taken for an open host.
    assert (said["H-020"], said["H-021"], said["H-026"]) == ("unknown",) * 3
    # busybox syslogd -R sends the log off, and has no configuration that could be read.
    assert said["H-050"] == "unknown"
    assert unproven_without_reason(assessment) == []


def test_sshd_on_another_port_is_found_and_judged(lab_host: Callable[[str], Host]) -> None:
    assessment = look.judge(look.collect(lab_host("iptables-legacy-host")))

    open_to_all = next(one for one in assessment.verdicts if one.check.catalogue == "H-026")
    assert open_to_all.result.value == "fail"
    assert any("sshd 2222 ipv6" in line for one in open_to_all.observations for line in one.observed)


@pytest.mark.parametrize(
    ("role", "kept"),
    [
        ("ufw-host", {"H-020", "H-021", "H-022", "H-026", "H-027", "H-050"}),  # ufw; syslog-ng
        ("firewalld-host", {"H-020", "H-021", "H-026", "H-027", "H-035", "H-037", "H-052"}),  # firewalld; sshguard in the place of fail2ban
        ("iptables-legacy-host", {"H-020", "H-022", "H-050"}),  # the tables of old, which nft does not show
        ("mariadb-pg-nfs", {"H-050", "H-060", "H-062"}),  # RELP; databases held back by the firewall only
    ],
)
def test_who_complies_by_other_means_complies(role: str, kept: set[str], lab_host: Callable[[str], Host]) -> None:
    host = lab_host(role)
    said = results(look.judge(look.collect(host, "ops", "--become") if host.role.ops_sudo == "nopasswd" else look.collect(host)))

    assert {check: said[check] for check in sorted(kept)} == dict.fromkeys(sorted(kept), "pass")


# --- files that look right while the running system differs


def test_rules_that_nobody_saved_are_gone_after_a_restart(lab: Lab) -> None:
    host = lab.start("firewalld-host", name="restarted-host")
    before = results(look.judge(look.collect(host)))
    host = lab.reboot(host)
    after = results(look.judge(look.collect(host)))
    lab.stop(host)

    assert (before["H-022"], after["H-022"]) == ("fail", "pass")


def test_files_that_were_put_right_do_not_put_the_running_system_right(lab: Lab) -> None:
    host = lab.start("keeps-all", name="stale-keeps-all")
    host.run("""
        echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/00-a.conf; systemctl restart ssh; sleep 3
        rm /etc/ssh/sshd_config.d/00-a.conf; touch /etc/ssh/sshd_config
        nft insert rule inet filter input tcp dport 22 accept
        sysctl -qw net.ipv4.tcp_syncookies=0
    """)
    bundle = look.collect(host, "root", "--quick")
    lab.stop(host)

    said = results(look.judge(bundle))
    level_3 = results(look.judge(bundle, profile="enterprise-L3"))
    assert (said["H-033"], said["H-028"]) == ("fail", "unknown")
    assert (said["H-022"], said["H-026"]) == ("fail", "fail")
    assert (level_3["H-085"], level_3["H-087"]) == ("fail", "fail")


# --- looking, and judging again


def tutela(host: Host | None, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "tutela", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(look.ROOT / "src"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(host.centre.exec_argv(argv) if host else argv, capture_output=True, env=environment, check=False, timeout=300)


def test_a_bundle_is_judged_the_same_to_the_byte_again_and_elsewhere(lab_host: Callable[[str], Host], tmp_path: Path) -> None:
    bundle = look.collect(lab_host("ufw-host"))
    path = tmp_path / "host.bundle"
    write_bundle(path, bundle)

    here = ["".join(map(str, FORMATS["json"].render([look.judge(bundle)], Lang.EN, Options()))) for _ in range(2)]
    elsewhere = [tutela(None, "check", path, "--site", SITE, "--format", "json", "--lang", "en").stdout for _ in range(2)]

    assert here[0] == here[1]
    assert elsewhere == [here[0].encode()] * 2


@pytest.mark.parametrize("role", ["keeps-all", "no-systemd-no-python"])
def test_a_look_as_an_ordinary_user_leaves_nothing(role: str, lab_host: Callable[[str], Host]) -> None:
    host = lab_host(role)
    places = "ls -lARn --time-style=full-iso /home /root /tmp /var/tmp /dev/shm /etc /usr/local /opt /srv /var/lib/apt /var/cache 2>/dev/null"
    look.collect(host, "ops")  # the first login makes what belongs to a login

    before = host.run(places, check=False).stdout
    look.collect(host, "ops")

    assert host.run(places, check=False).stdout == before


def test_the_command_over_ssh_says_broken(lab_host: Callable[[str], Host]) -> None:
    host = lab_host("breaks-all")

    run = tutela(host, "check", f"ssh://root@{host.name}", "--ssh-config", host.ssh_config_file, "--site", SITE, "--quick", "--lang", "en")

    assert (run.returncode, run.stderr) == (2, b"")
    said = run.stdout.decode()
    for words in ("BROKEN", "critical", "H-028", "H-011", "H-061"):
        assert words in said
