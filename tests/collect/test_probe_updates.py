"""What the probe brings about packages and updates: no credentials of mirrors, what the caches of apt and the metadata of dnf say, and nothing written to either."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.collect.probe import SHELLS, frames, instead_of_lanes
from tests.collect.trace import changes, strace
from tutela.evidence import Status
from tutela.facts.security_updates import APT

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


PACKAGE = "Package: {}\nArchitecture: all\nMaintainer: nobody <n@example.org>\nVersion: {}\nDescription: sings\n"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which apt has all that is its own: version 1 is installed, its lists say 2, and it has just made its caches.

    Another package is as new as the lists, a third one removed but for its settings, a fourth one's set-up has failed.
    """
    for folder in ("repository", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    offered = "\n".join(PACKAGE.format(name, 2) + f"Filename: ./{name}.deb\nSize: 1\n" for name in ("kanarie", "merel", "spreeuw", "vink"))
    (tmp_path / "repository/Packages").write_text(offered)
    (tmp_path / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n")
    here = (("kanarie", 1, "ok installed"), ("merel", 2, "ok installed"), ("spreeuw", 1, "ok config-files"), ("vink", 1, "ok half-configured"))
    (tmp_path / "status").write_text("\n".join(PACKAGE.format(name, version) + f"Status: install {status}\n" for name, version, status in here))
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir "{tmp_path}"; Dir::State::status "{tmp_path}/status"; Dir::Log "{tmp_path}"; APT::Sandbox::User "";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    monkeypatch.setenv("DPKG_ADMINDIR", str(tmp_path))
    for command in ("update", "check"):
        caches = ["-o", f"Dir::Cache::srcpkgcache={tmp_path}/var/cache/apt/srcpkgcache.bin"]
        subprocess.run(["apt-get", *caches, command], capture_output=True, check=True, timeout=60)
    assert (tmp_path / "var/cache/apt/srcpkgcache.bin").stat().st_size
    return tmp_path


def newer(apt: Path, shell: Sequence[str] = ("sh",)) -> tuple[str, int]:
    """What the probe says of newer versions, and how often it had to ask; nothing was changed, and nothing was tried that could."""
    text = PROBE
    for place in ("/var/cache/apt/srcpkgcache.bin", "/var/lib/apt/lists"):
        assert place in text
        text = text.replace(place, f"{apt}{place}")
    script, trace = apt / "probe.sh", apt / "trace"
    script.write_text(instead_of_lanes(text, "collect updates"), "utf-8")
    before = {path: path.read_bytes() for path in (apt / "var").rglob("*") if path.is_file()}
    done = subprocess.run(strace(trace, *shell, str(script)), capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert changes(trace) == set()
    assert {path: path.read_bytes() for path in (apt / "var").rglob("*") if path.is_file()} == before
    found = frames(done.stdout)[APT]
    assert found.status is Status.OK
    started = trace.read_text("utf-8", "replace").count('execve("/usr/bin/apt-cache"')
    return found.content.decode(), started


def table(apt: Path, version: str) -> str:
    each = "{}:\n  Installed: 1\n  Candidate: {}\n  Version table:\n     {} 500\n        500 file:{}/repository ./ Packages\n"
    return each.format("kanarie", version, version, apt) + each.format("vink", "2", "2", apt) + "installed 3"


@pytest.mark.program("apt-cache", "strace")
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_newer_versions_are_taken_from_the_cache_of_apt(apt: Path, shell: list[str]) -> None:
    said, times = newer(apt, shell)

    assert said == table(apt, "2")
    assert times == 1
    assert '"/proc/self/fd/9", O_RDONLY' in (apt / "trace").read_text("utf-8", "replace")


@pytest.mark.program("apt-cache", "strace")
@pytest.mark.parametrize("folder_tells", [True, False], ids=["the folder tells", "apt finds out"])
def test_a_cache_that_is_out_of_date_is_neither_believed_nor_renewed(apt: Path, folder_tells: bool) -> None:
    lists = apt / "var/lib/apt/lists"
    (packages,) = lists.glob("*_Packages")
    packages.write_text(
        packages.read_text().replace(
            "Package: kanarie\nArchitecture: all\nMaintainer: nobody <n@example.org>\nVersion: 2",
            PACKAGE.format("kanarie", "3.1").partition("\nDescription")[0],
        )
    )
    ahead = 60 if folder_tells else -60
    made = (apt / "var/cache/apt/srcpkgcache.bin").stat().st_mtime + ahead
    os.utime(lists, (made, made))

    said, times = newer(apt)

    assert said == table(apt, "3.1")
    assert times == (1 if folder_tells else 2)


@pytest.mark.program("apt-cache", "strace")
def test_without_a_cache_the_lists_themselves_are_read(apt: Path) -> None:
    (apt / "var/cache/apt/srcpkgcache.bin").unlink()

    said, times = newer(apt)

    assert said == table(apt, "2")
    assert times == 1


@pytest.mark.program("apt-cache", "strace")
def test_a_fix_that_a_pin_keeps_away_is_seen(apt: Path) -> None:
    (apt / "etc/apt/preferences").write_text("Package: kanarie\nPin: version 1\nPin-Priority: 1001\n")

    said, _ = newer(apt)

    assert "  Candidate: 1\n" in said
    assert "     2 500\n" in said


@pytest.mark.program("apt-cache", "strace")
def test_lists_that_cannot_be_read_are_no_answer(apt: Path) -> None:
    (apt / "var/cache/apt/srcpkgcache.bin").unlink()
    (packages,) = (apt / "var/lib/apt/lists").glob("*_Packages")
    packages.write_text("Package kanarie\n")
    script = apt / "probe.sh"
    script.write_text(instead_of_lanes(PROBE, "collect updates"), "utf-8")

    done = subprocess.run(["sh", str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)

    assert frames(done.stdout)[APT].status is Status.FAILED


@pytest.mark.parametrize("awk", AWKS, ids=" ".join)
def test_only_installed_packages_with_newer_versions_are_told(awk: list[str]) -> None:
    text = f"""bash:
  Installed: 5.2.15-2+b8
  Candidate: 5.2.15-2+b8
  Version table:
 *** 5.2.15-2+b8 100
        100 /var/lib/dpkg/status
openssl:
  Installed: 3.0.15-1
  Candidate: 3.0.17-1
  Version table:
     3.0.17-1 500
        500 https://ops:{CANARY}@mirror.example/debian-security bookworm-security/main amd64 Packages
 *** 3.0.15-1 100
        100 /var/lib/dpkg/status
     3.0.11-1 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
removed:
  Installed: (none)
  Candidate: 2
  Version table:
     2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
ended 0
"""

    done = subprocess.run([*awk, program("NEWER")], input=text, capture_output=True, text=True, check=True)

    assert (
        done.stdout
        == """openssl:
  Installed: 3.0.15-1
  Candidate: 3.0.17-1
  Version table:
     3.0.17-1 500
        500 https://***@mirror.example/debian-security bookworm-security/main amd64 Packages
installed 2
"""
    )
