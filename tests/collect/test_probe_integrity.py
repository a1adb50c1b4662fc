"""What the probe brings of rpm's answers: its exit code counts the packages that differ, or the paths of none; and none found is no comparison."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, SHELLS, frames, instead_of_lanes
from tutela.evidence import Status
from tutela.facts.package_integrity import VERIFY

CHANGED = "S.5....T.  c /etc/ssh/sshd_config\nS.5....T.  c /etc/sudoers\n.......T.  c /etc/pam.d/sshd\nS.5....T.    /usr/bin/sudo"
RPM = """
have() { [ "$1" = rpm ]; }
limited() { shift; "$@"; }
ME=0
rpm() {
	case $1 in
	-q) QUERY ;;
	*) [ "$*" = '-V --nodeps --noscripts openssh-server sudo pam' ] || return 200; VERIFIED ;;
	esac
}
collect integrity"""
KNOWN = r"printf '%s\n' openssh-server 'package openssh is not installed' sudo pam pam; return 1"


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize(
    ("query", "verified", "status", "content"),
    [
        pytest.param(KNOWN, f"echo '{CHANGED}'; return 3", Status.OK, CHANGED, id="three packages differ"),
        pytest.param(KNOWN, "return 0", Status.OK, "", id="none differs"),
        pytest.param(KNOWN, "return 1", Status.FAILED, "", id="no database"),
        pytest.param(KNOWN, f"echo '{CHANGED}'; return 124", Status.TIMEOUT, CHANGED, id="time was up"),
        pytest.param("return 1", "return 0", Status.FAILED, "none of the packages is installed", id="no database from the start"),
    ],
)
def test_what_rpm_says_of_changed_packages_is_its_answer(tmp_path: Path, shell: list[str], query: str, verified: str, status: Status, content: str) -> None:
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE.read_text("utf-8"), RPM.replace("QUERY", query).replace("VERIFIED", verified)), "utf-8")

    done = subprocess.run([*shell, str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)

    found = frames(done.stdout)[VERIFY]
    assert (found.status, found.content.decode()) == (status, content)


@pytest.mark.parametrize(("code", "status"), [(0, Status.OK), (200, Status.OK), (124, Status.TIMEOUT)])
def test_paths_of_no_package_are_an_answer_however_many(tmp_path: Path, code: int, status: Status) -> None:
    lines = f"""
limit() {{ shift; "$@"; }}
have() {{ [ "$1" = rpm ]; }}
rpm() {{ printf '%s\\n' /usr/bin/su /usr/bin/other; return {code}; }}
owners 'who owns' /usr/bin/su"""
    script = tmp_path / "probe.sh"
    script.write_text(instead_of_lanes(PROBE.read_text("utf-8").replace("/var/lib/dpkg/info/*.list", "/nowhere/*.list"), lines), "utf-8")

    done = subprocess.run(["sh", str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)

    found = frames(done.stdout)["who owns"]
    assert (found.status, found.content) == (status, b"/usr/bin/su")
