"""What the probe brings about packages and updates: no credentials of mirrors, what the caches of apt and the metadata of dnf say, and nothing written to either."""

from __future__ import annotations

import os
import re
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


PACKAGE = "Package: kanarie\nArchitecture: all\nMaintainer: nobody <n@example.org>\nVersion: {}\nDescription: sings\n"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which apt has all that is its own: version 1 is installed, its lists say 2, and it has just made its caches."""
    for folder in ("repository", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "repository/Packages").write_text(PACKAGE.format(2) + "Filename: ./kanarie.deb\nSize: 1\n")
    (tmp_path / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n")
    (tmp_path / "status").write_text(PACKAGE.format(1) + "Status: install ok installed\n")
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir "{tmp_path}"; Dir::State::status "{tmp_path}/status"; Dir::Log "{tmp_path}"; APT::Sandbox::User "";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    for command in ("update", "check"):
        caches = ["-o", f"Dir::Cache::srcpkgcache={tmp_path}/var/cache/apt/srcpkgcache.bin"]
        subprocess.run(["apt-get", *caches, command], capture_output=True, check=True, timeout=60)
    assert (tmp_path / "var/cache/apt/srcpkgcache.bin").stat().st_size
    return tmp_path


def simulated(apt: Path, shell: Sequence[str] = ("sh",)) -> tuple[str, int]:
    """The upgrade as the probe simulates it, and how often it had to; nothing was changed, and nothing was tried that could."""
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
    started = trace.read_text("utf-8", "replace").count('execve("/usr/bin/apt-get"')
    return found.content.decode(), started


@pytest.mark.program("apt-get", "strace")
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_the_simulated_upgrade_takes_the_lists_from_the_cache_of_apt(apt: Path, shell: list[str]) -> None:
    said, times = simulated(apt, shell)

    assert "Inst kanarie [1] (2 " in said
    assert times == 1
    assert '"/proc/self/fd/9", O_RDONLY' in (apt / "trace").read_text("utf-8", "replace")


@pytest.mark.program("apt-get", "strace")
@pytest.mark.parametrize("folder_tells", [True, False], ids=["the folder tells", "apt finds out"])
def test_a_cache_that_is_out_of_date_is_neither_believed_nor_renewed(apt: Path, folder_tells: bool) -> None:
    lists = apt / "var/lib/apt/lists"
    (packages,) = lists.glob("*_Packages")
    packages.write_text(packages.read_text().replace("Version: 2", "Version: 3.1"))
    ahead = 60 if folder_tells else -60
    made = (apt / "var/cache/apt/srcpkgcache.bin").stat().st_mtime + ahead
    os.utime(lists, (made, made))

    said, times = simulated(apt)

    assert "Inst kanarie [1] (3.1 " in said
    assert times == (1 if folder_tells else 2)


@pytest.mark.program("apt-get", "strace")
def test_without_a_cache_the_simulated_upgrade_reads_the_lists(apt: Path) -> None:
    (apt / "var/cache/apt/srcpkgcache.bin").unlink()

    said, times = simulated(apt)

    assert "Inst kanarie [1] (2 " in said
    assert times == 1


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_all_else_gives_way_to_the_simulated_upgrade(tmp_path: Path, shell: list[str]) -> None:
    text, count = re.subn(r"^(looks|updates)\(\) \{.*$", r"\1() { emit ok 0 \1 $(nice); }\nformer_\1() {", PROBE, flags=re.MULTILINE)
    assert count == 2
    script = tmp_path / "probe.sh"
    script.write_text(text, "utf-8")

    done = subprocess.run([*shell, str(script)], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)

    found = frames(done.stdout)
    assert int(found["looks"].content) == int(found["updates"].content) + 10
