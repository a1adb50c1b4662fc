"""What the probe brings about packages and updates: no credentials of mirrors, and advisories from the metadata that dnf keeps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROBE = (Path(__file__).parents[2] / "src/tutela/collect/probe.sh").read_text("utf-8")
AWKS = [tool for tool in (["mawk"], ["gawk"], ["busybox", "awk"]) if shutil.which(tool[0])]
CANARY = "kanarie7Zq"


def program(name: str) -> str:
    start = PROBE.index(f"\n{name}='") + len(name) + 3
    return PROBE[start : PROBE.index("\n'\n", start)]


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("plain", f"deb https://ops:{CANARY}@mirror.example/debian bookworm main\n"),
        ("plain", f"Types: deb\nURIs: https://{CANARY}@mirror.example/debian\n"),
        ("plain", f'Acquire::http::Proxy "http://ops:{CANARY}@proxy.example:3128/";\n'),
        ("secrets", f"[lab]\nbaseurl=https://ops:{CANARY}@mirror.example/el/9/\n"),
        ("secrets", f"[lab]\nusername=ops\npassword={CANARY}\n"),
        ("secrets", f"proxy_password = {CANARY}\n"),
    ],
)
def test_credentials_of_a_mirror_stay_on_the_host(awk: list[str], how: str, text: str) -> None:
    done = subprocess.run([*awk, "-v", f"how={how}", program("AWK")], input=text, capture_output=True, text=True, check=True)

    assert CANARY not in done.stdout
    assert "***" in done.stdout


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_advisories_of_installed_packages_are_taken_from_updateinfo(awk: list[str]) -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="releng@rockylinux.org" status="final" type="security" version="2"><id>RLSA-2026:9101</id><title>Important: openssl</title>
<issued date="2026-11-10 08:15:22"/><updated date="2026-11-10 08:15:22"/><severity>Important</severity><description>a &gt; b > c</description>
<references><reference href="https://x" id="CVE-2026-1" type="cve" title="CVE-2026-1"/></references><pkglist><collection short="baseos"><name>b</name>
<package name="openssl-libs" version="3.2.2" release="7.el9_5" epoch="1" arch="x86_64" src="openssl.src.rpm"><filename>o.rpm</filename></package>
<package name="openssl-libs" version="3.2.2" release="7.el9_5" epoch="1" arch="src"><filename>o.src.rpm</filename></package>
<package name="absent" version="1" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
<update from="x" type="bugfix"><id>RLBA-2026:1</id><pkglist><package name="openssl-libs" version="9" release="9" epoch="1" arch="x86_64"/></pkglist></update></updates>
"""

    done = subprocess.run([*awk, "-v", "installed=bash openssl-libs", program("ADVISORIES")], input=text, capture_output=True, text=True, check=True)

    assert done.stdout == "RLSA-2026:9101\t2026-11-10 08:15:22\tImportant\topenssl-libs\t1:3.2.2-7.el9_5\tx86_64\n"


@pytest.mark.program("apt-get", "strace")
def test_the_simulated_upgrade_writes_nothing(tmp_path: Path) -> None:
    command = next(line.split("capture 120 ", 1)[1] for line in PROBE.split("\n") if "capture 120 apt-get" in line)
    trace = tmp_path / "trace"

    done = subprocess.run(["strace", "-f", "-qq", "-e", "trace=%file", "-o", trace, *command.split()], capture_output=True, check=False)
    if done.returncode not in (0, 100):
        pytest.skip("strace is not permitted here")

    said = trace.read_text("utf-8", "replace").split("\n")
    wrote = [line for line in said if any(word in line for word in ("O_WRONLY", "O_RDWR", "rename", "unlink", "mkdir", "chmod", "utimensat"))]
    assert [line for line in wrote if "O_TMPFILE" not in line and '"/dev/' not in line and "ENOENT" not in line] == []
