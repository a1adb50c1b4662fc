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
"""Which of a peer's tests decides which check of the catalogue, by reading what the test looks at."""


def main() -> None:
    install("lynis", "openscap-scanner", "ssg-debian")
    with tempfile.TemporaryDirectory() as folder:
        lynis_report = Path(folder) / "lynis.dat"
        oscap_report = Path(folder) / "oscap.xml"

        content = max(Path("/usr/share/xml/scap/ssg/content").glob("ssg-debian*-ds.xml"), key=lambda path: path.name)
        commands = {
            "probe --quick": [*PROBE, "--quick"],
            "tutela check --quick": [*TUTELA, "check", "--quick"],
            "apt-get -s dist-upgrade": SIMULATION,
            "tutela check": [*TUTELA, "check"],
            "oscap, standard profile": [
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
        runs = dict.fromkeys(commands, 9) | {"tutela check": 3, "apt-get -s dist-upgrade": 3, "oscap, standard profile": 3, "lynis audit system --quick": 1}
        figures = measure(commands, runs, ok=None)
        decided = {
            "tutela check --quick": _ours("--quick"),
            "tutela check": _ours(),
            "oscap, standard profile": _oscap(oscap_report.read_text("utf-8", "replace")),
            "lynis audit system --quick": _lynis(lynis_report.read_text("utf-8", "replace")),
        }
    table("One host", figures, "tutela check --quick", {name: f"decides {words}" for name, words in decided.items()})
    quick, whole, probe = figures["tutela check --quick"], figures["tutela check"], figures["probe --quick"]
    simulation = figures["apt-get -s dist-upgrade"].wall_s
    lynis, oscap = figures["lynis audit system --quick"].wall_s / quick.wall_s, figures["oscap, standard profile"].wall_s / quick.wall_s
    goal(f"--quick at least 100 times as fast as Lynis: {lynis:.0f}", met=lynis >= 100)
    goal(f"--quick at least 8 times as fast as oscap: {oscap:.1f}", met=oscap >= 8)
    goal(f"--quick within 0.4 s: {quick.wall_s:.3f} s", met=quick.wall_s <= 0.4)
    goal(f"probe within 0.15 s: {probe.wall_s:.3f} s", met=probe.wall_s <= 0.15)
    goal(f"probe within 30 MB: {probe.rss_mb:.0f} MB", met=probe.rss_mb <= 30)
    goal(f"whole check at most the simulation plus 20 %: {whole.wall_s:.2f} s of {1.2 * simulation:.2f} s", met=whole.wall_s <= 1.2 * simulation)


def _ours(*more: str) -> str:
    run = subprocess.run([*TUTELA, "check", "--format", "json", *more], capture_output=True, env=ENVIRONMENT, check=False)
    said = json.loads(run.stdout)
    said = said[0] if isinstance(said, list) else said
    results = [verdict["result"] for verdict in said["verdicts"]]
    clauses = [clause["standing"] for clause in said["clauses"]]
    return f"{sum(result != 'unknown' for result in results)} of {len(results)} checks, {sum(standing != 'unproven' for standing in clauses)} of {len(clauses)} clauses"


def _lynis(report: str) -> str:
    ran = set(
        re.findall(r"^tests_executed=(.*)$", report, re.MULTILINE) and re.findall(r"[A-Z]+-\d+", re.findall(r"^tests_executed=(.*)$", report, re.MULTILINE)[0])
    )
    return _mapped("lynis", ran)


def _oscap(report: str) -> str:
    ran = {name for name, result in re.findall(r'<rule-result idref="([^"]+)".*?<result>(\w+)</result>', report, re.DOTALL) if result in ("pass", "fail")}
    return _mapped("oscap", {name.rpartition("content_rule_")[2] for name in ran})


def _mapped(peer: str, ran: set[str]) -> str:
    mapping: dict[str, list[str]] = json.loads(PEERS.read_text("utf-8"))[peer]
    decided = {check for test in ran for check in mapping.get(test, ())}
    return f"{len(decided)} of our checks with {len(ran)} tests that gave a result"
