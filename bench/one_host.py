"""One host: `tutela check` beside Lynis, OpenSCAP and the bare probe.

By default on a small server that the lab starts: Debian 12 with all that Debian calls important or standard, sshd, nftables, rsyslog, fail2ban,
nginx, PostgreSQL and Redis; no kernel of its own, and no manuals. As on a server that has not yet installed this week's updates, some of the
security archive are pending, so that the simulation has something to simulate; and apt keeps the caches it makes, as after each `apt-get update`.
Entering the host is part of each figure; `true` shows how little it is.
`one-host/here` measures on the machine itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.lab import Lab
from tests.lab.role import Role, load_role

from bench.hosts import PLACE, furnish, inside
from bench.measure import ENVIRONMENT, ROOT, goal, install, measure, table

PEERS = ROOT / "bench" / "peers.json"
"""Which of a peer's tests decides which check of the catalogue, by reading what the test looks at; in doubt it does."""
THEIRS = ("lynis", "openscap-scanner", "ssg-debian")
SERVER = (
    *("apt-utils", "bash-completion", "bind9-dnsutils", "bind9-host", "bzip2", "ca-certificates", "cpio", "cron", "dmidecode", "fdisk", "file", "gettext-base"),
    *("groff-base", "ifupdown", "inetutils-telnet", "less", "libcap2-bin", "locales", "lsof", "man-db", "manpages", "mime-support", "nano", "ncurses-term"),
    *("netbase", "netcat-traditional", "pciutils", "perl", "python3-reportbug", "python3-yaml", "reportbug", "traceroute", "ucf", "udev", "util-linux-extra"),
    *("vim-tiny", "wamerican", "wget", "whiptail", "xz-utils", "nginx"),
)
"""What a server has that a role of the lab does without."""
PENDING = ("libssl3", "nginx", "nginx-common", "openssh-client", "openssh-server", "openssh-sftp-server", "openssl", "rsync", "sudo")
"""Their updates are pending, where the security archive has one newer than the archive proper."""
AGE = """
for name in "$@"; do
    new=$(dpkg-query -f '${Version}' -W "$name")
    old=$(apt-cache madison "$name" | awk -F ' *[|] *' '$3 !~ /-(security|updates)/ { print $2; exit }')
    if dpkg --compare-versions "${old:-$new}" lt "$new"; then sed -i "s/$new/$old/g" /var/lib/dpkg/status; fi
done
rm -f /var/cache/apt/*.bin
apt-get check
"""
WHAT = """
. /etc/os-release
echo "$PRETTY_NAME, $(dpkg-query -f . -W | wc -c) packages, $(find / -xdev -printf . | wc -c) files, $(ls -d /proc/[0-9]* | wc -l) processes," \
    "$(apt-get -s dist-upgrade | grep -c '^Inst.*ecurity') security updates pending"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where all commands run."""

    inside: Callable[[Sequence[str]], list[str]]
    """What a command becomes when it is to run there."""
    tutela: str
    """The folder of the clone."""
    folder: str
    """Of the peers' reports."""

    def said(self, *argv: str) -> str:
        """What a command prints there; how it ends does not matter."""
        return subprocess.run(self.inside(argv), capture_output=True, env=ENVIRONMENT, check=False).stdout.decode("utf-8", "replace")


def main(where: str = "bookworm") -> None:
    if where == "here":
        install(*THEIRS)
        with tempfile.TemporaryDirectory() as folder:
            _compare(Place(list, str(ROOT), folder))
        return
    with Lab() as lab:
        print("starting a host", file=sys.stderr)
        host = lab.start(_server(where))
        furnish(host)
        host.run(["sh", "-euc", AGE, "sh", *PENDING])
        _compare(Place(lambda argv: inside(host, argv), PLACE, PLACE))


def _server(suite: str) -> Role:
    role = load_role("keeps-all")
    return replace(role, name="server", suite=suite, packages=(*role.packages, *SERVER, *THEIRS))


def _compare(place: Place) -> None:
    lynis_report, oscap_report, content = (f"{place.folder}/{name}" for name in ("lynis.dat", "oscap.xml", "content.xml"))
    _for_any_host(place, content)
    tutela = f"{place.tutela}/tutela"
    commands = {
        "true": ["true"],
        "probe --quick": ["sh", f"{place.tutela}/src/tutela/collect/probe.sh", "--quick"],
        "tutela check --quick": [tutela, "check", "--quick"],
        "apt-get -s dist-upgrade": ["apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade"],
        "tutela check": [tutela, "check"],
        "oscap standard, any host": [
            *("oscap", "xccdf", "eval", "--profile", "xccdf_org.ssgproject.content_profile_standard"),
            *("--results", oscap_report, content),
        ],
        "lynis audit system --quick": [
            *("lynis", "audit", "system", "--quick", "--no-colors"),
            *("--report-file", lynis_report, "--logfile", f"{place.folder}/lynis.log"),
        ],
    }
    runs = dict.fromkeys(commands, 9) | {"oscap standard, any host": 3, "lynis audit system --quick": 1}
    print(f"\n{place.said('sh', '-c', WHAT).strip()}")
    figures = measure({name: place.inside(argv) for name, argv in commands.items()}, runs, ok=None)
    decided = {
        "tutela check --quick": _ours(place.said(tutela, "check", "--format", "json", "--quick")),
        "tutela check": _ours(place.said(tutela, "check", "--format", "json")),
        "oscap standard, any host": _oscap(place.said("cat", oscap_report)),
        "lynis audit system --quick": _lynis(place.said("cat", lynis_report)),
    }
    table("One host", figures, "tutela check --quick", {name: f"decides {words}" for name, words in decided.items()})
    quick, whole, probe = figures["tutela check --quick"], figures["tutela check"], figures["probe --quick"]
    simulation = figures["apt-get -s dist-upgrade"].wall_s
    lynis, oscap = figures["lynis audit system --quick"].wall_s / quick.wall_s, figures["oscap standard, any host"].wall_s / quick.wall_s
    goal(f"--quick at least 100 times as fast as Lynis: {lynis:.0f}", met=lynis >= 100)
    goal(f"--quick at least 8 times as fast as oscap: {oscap:.1f}", met=oscap >= 8)
    goal(f"--quick within 0.4 s: {quick.wall_s:.3f} s", met=quick.wall_s <= 0.4)
    goal(f"probe within 0.15 s: {probe.wall_s:.3f} s", met=probe.wall_s <= 0.15)
    goal(f"probe within 30 MB: {probe.rss_mb:.0f} MB", met=probe.rss_mb <= 30)
    goal(f"whole check at most the simulation plus 20 %: {whole.wall_s:.2f} s of {1.2 * simulation:.2f} s", met=whole.wall_s <= 1.2 * simulation)


def _for_any_host(place: Place, content: str) -> None:
    """The content without its restriction to one release and to no container: elsewhere it calls its rules notapplicable, and is quick with them."""
    lift = r's,<xccdf-1\.2:platform idref="(cpe:/o:debian:debian_linux:[0-9]+|#machine)"/>,,g'
    newest = "$(ls -v /usr/share/xml/scap/ssg/content/ssg-debian*-ds.xml | tail -n 1)"
    place.said("sh", "-c", f'sed -E "$1" "{newest}" >"$2"', "sh", lift, content)


def _ours(report: str) -> str:
    said = json.loads(report)
    said = said[0] if isinstance(said, list) else said
    checks = [verdict["result"] != "unknown" for verdict in said["verdicts"]]
    clauses = [clause["standing"] != "unproven" for clause in said["clauses"]]
    return f"{sum(checks)} of {len(checks)} checks, {sum(clauses)} of {len(clauses)} clauses"


def _lynis(report: str) -> str:
    found = re.search(r"^tests_executed=(.*)$", report, re.MULTILINE)
    return _theirs("lynis", set(found[1].strip("|").split("|")) if found else set())


def _oscap(report: str) -> str:
    results = re.findall(r'<rule-result idref="[^"]*content_rule_([^"]+)".*?<result>(\w+)</result>', report, re.DOTALL)
    return _theirs("oscap", {name for name, result in results if result in ("pass", "fail")})


def _theirs(peer: str, ran: set[str]) -> str:
    """What a peer's tests decide of ours, whether rightly or not. A clause that rests on several checks needs them all."""
    # Not before: the kernel counts the memory of whoever starts a process as that process's own.
    from tutela.cli.options import read_rulebook
    from tutela.library import load_content
    from tutela.site import Site

    mapping: dict[str, list[str]] = json.loads(PEERS.read_text("utf-8"))[peer]
    rulebook = read_rulebook(None, Site(), load_content())
    decided = {rulebook.alias[check] for test in ran for check in mapping.get(test, ())} & set(rulebook.checks)
    clauses = [bool(clause.checks) and all(rulebook.alias[check] in decided for check in clause.checks) for clause in rulebook.clauses]
    return f"{len(decided)} of {len(rulebook.checks)} checks, {sum(clauses)} of {len(clauses)} clauses; {len(ran)} of its tests gave a result"
