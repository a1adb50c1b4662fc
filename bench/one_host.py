"""One host: `tutela check` beside Lynis, OpenSCAP and the bare probe, on this host."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

from bench.measure import ENVIRONMENT, ROOT, TUTELA, goal, install, measure, table

PROBE = ["sh", str(ROOT / "src" / "tutela" / "collect" / "probe.sh")]
SIMULATION = ["apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade"]
PEERS = ROOT / "bench" / "peers.json"
"""Which of a peer's tests decides which check of the catalogue, by reading what the test looks at; in doubt it does."""
SSG = Path("/usr/share/xml/scap/ssg/content")


def main() -> None:
    install("lynis", "openscap-scanner", "ssg-debian")
    with tempfile.TemporaryDirectory() as folder:
        lynis_report = Path(folder) / "lynis.dat"
        oscap_report = Path(folder) / "oscap.xml"

        content = Path(folder) / "content.xml"
        _for_any_host(max(SSG.glob("ssg-debian*-ds.xml"), key=_release), content)
        commands = {
            "probe --quick": [*PROBE, "--quick"],
            "tutela check --quick": [*TUTELA, "check", "--quick"],
            "apt-get -s dist-upgrade": SIMULATION,
            "tutela check": [*TUTELA, "check"],
            "oscap standard, any host": [
                "oscap",
                "xccdf",
                "eval",
                "--profile",
                "xccdf_org.ssgproject.content_profile_standard",
                "--results",
                str(oscap_report),
                str(content),
            ],
            "lynis audit system --quick": [
                "lynis",
                "audit",
                "system",
                "--quick",
                "--no-colors",
                "--report-file",
                str(lynis_report),
                "--logfile",
                str(Path(folder) / "lynis.log"),
            ],
        }
        runs = dict.fromkeys(commands, 9) | {"tutela check": 3, "apt-get -s dist-upgrade": 3, "oscap standard, any host": 3, "lynis audit system --quick": 1}
        figures = measure(commands, runs, ok=None)
        decided = {
            "tutela check --quick": _ours("--quick"),
            "tutela check": _ours(),
            "oscap standard, any host": _oscap(oscap_report.read_text("utf-8", "replace")),
            "lynis audit system --quick": _lynis(lynis_report.read_text("utf-8", "replace")),
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


def _release(content: Path) -> int:
    return int(re.findall(r"\d+", content.name)[0])


def _for_any_host(shipped: Path, content: Path) -> None:
    """The content without its restriction to one release and to no container: elsewhere it calls its rules notapplicable, and is quick with them."""
    with content.open("wb") as file:
        lift = r's,<xccdf-1\.2:platform idref="(cpe:/o:debian:debian_linux:[0-9]+|#machine)"/>,,g'
        subprocess.run(["sed", "-E", lift, str(shipped)], stdout=file, check=True)


def _ours(*more: str) -> str:
    run = subprocess.run([*TUTELA, "check", "--format", "json", *more], capture_output=True, env=ENVIRONMENT, check=False)
    said = json.loads(run.stdout)
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
