"""The truth about a target, held against what a scan says: `python -m tests.exposure.truth --runs 100` for the long proof.

Prints, for each scene and method, open ports missed and falsely found over all runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.exposure.net import TARGET, TARGET6, Net, answering_everywhere, dropping, losing

UNPACED = float("inf")
EVERYWHERE = "answers on every port"

SCAN = """
import json, sys
from ipaddress import ip_address
from tutela.exposure.model import Open, Request, Summary, Tally
from tutela.exposure.ports import parse
from tutela.exposure.scan import scan
target, method, rate, ports = sys.argv[1:]
told, tally = [], None
for event in scan(Request((ip_address(target),), parse(ports), float(rate)), method):
    if isinstance(event, Open):
        told.append(event.port)
    elif isinstance(event, Tally):
        tally = event
    elif isinstance(event, Summary):
        summary = event
print(json.dumps({"told": told, "open": tally.open, "closed": tally.closed, "filtered": tally.filtered, "silent": tally.silent,
    "note": tally.note and tally.note.en, "rounds": summary.rounds, "lost": summary.lost, "packets": summary.packets, "seconds": summary.seconds, "method": summary.method, "expected_missed": summary.expected_missed,
    "notes": [note.en for note in summary.notes]}))
"""


def scan(net: Net, target: str = TARGET, method: str = "raw", rate: float = 100_000, ports: str = "all") -> dict:
    """One scan in a process of its own, from the scanner's namespace."""
    return json.loads(net.python(SCAN, target, method, str(rate), ports))


def scenes(ports: frozenset[int]) -> Iterator[tuple[str, str]]:
    """Name and rules of the target."""
    limited = "limit rate 200/second burst 5 packets reject with tcp reset\n                tcp dport 1-65535 drop"
    yield "rejects", ""
    yield "drops", dropping(ports)
    yield "refuses by ICMP", dropping(ports, "reject with icmpx admin-prohibited")
    yield "limits its refusals", dropping(ports, limited)
    for share in (0.01, 0.05):
        yield f"rejects, {share:.0%} lost each way", losing(share)
        yield f"drops, {share:.0%} lost each way", dropping(ports) + losing(share)


WAYS = ((TARGET, "raw", 1e5), (TARGET6, "raw", 1e5), (TARGET, "raw", 5e4), (TARGET, "raw", UNPACED), (TARGET, "frames", UNPACED), (TARGET6, "frames", UNPACED))
SELDOM = ((TARGET, "raw", 1e4), (TARGET, "connect", 1e5), (TARGET6, "connect", 1e5))
"""Ways that take many seconds: in one turn of twenty."""
ITSELF = tuple((address, "raw", rate) for address in ("127.0.0.1", "::1") for rate in (1e5, UNPACED))


@dataclass(slots=True)
class Held:
    """What the scans of one scene in one way said, held against the truth."""

    runs: int = 0
    missed: int = 0
    false: int = 0
    most: float = 0.0
    """Open ports that the worst scan itself expected to have missed."""
    seconds: list[float] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)

    def take(self, found: dict, truth: frozenset[int]) -> None:
        self.runs += 1
        self.missed += len(truth.difference(found["open"]))
        self.false += len(truth.symmetric_difference(found["open"]) - truth)
        self.most = max(self.most, found["expected_missed"] or 0.0)
        self.seconds.append(found["seconds"])
        self.packets.append(found["packets"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop then, with the runs done so far")
    parser.add_argument("--delay-ms", type=float, default=0, help="what the target sends back is held for so long")
    parser.add_argument("--only", default="", help="scenes whose name holds this")
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    held: dict[tuple[str, str], Held] = {}
    everywhere = [0, 0]
    with Net(options.delay_ms) as net:
        ports = net.open(200)
        own = net.open(200, seed=2, here=True)
        rules = dict(scenes(ports))
        # Every turn goes through all scenes, so that a run cut short says something of each.
        for turn in range(options.runs):
            for name in (*rules, "this machine itself", EVERYWHERE):
                if options.only not in name:
                    continue
                if name == EVERYWHERE:
                    net.nft(answering_everywhere(min(ports)))
                    everywhere[0] += 1
                    everywhere[1] += scan(net)["note"] is None
                    continue
                net.nft(rules.get(name, ""))
                ways = ITSELF if name not in rules else (*WAYS, *SELDOM) if turn % 20 == 0 else WAYS
                for target, method, rate in ways:
                    if time.monotonic() > until:
                        break
                    how = f"{method} {'IPv6' if ':' in target else 'IPv4'} {'unpaced' if rate == UNPACED else f'{rate:g}/s'}"
                    held.setdefault((name, how), Held()).take(scan(net, target, method, rate), ports if name in rules else own)
            if time.monotonic() > until:
                break
        if options.delay_ms and (lost := net.lost_by_relay()):
            print(f"the relay had no room for {lost} packets, which count as lost on the way")
    print(f"{'target':<30}{'how':<22}{'runs':>5}{'missed':>8}{'false':>7}{'feared':>9}{'median s':>10}{'packets':>10}")
    failed = everywhere[1]
    for (name, how), one in held.items():
        middle = one.runs // 2
        numbers = f"{one.runs:>5}{one.missed:>8}{one.false:>7}{one.most:>9.1g}{sorted(one.seconds)[middle]:>10.2f}{sorted(one.packets)[middle]:>10}"
        print(f"{name:<30}{how:<22}{numbers}")
        failed += one.false + (one.missed if "5%" not in name else one.missed > one.runs * len(ports) * 1e-4)
    runs, missed, false = (sum(getattr(one, what) for one in held.values()) for what in ("runs", "missed", "false"))
    print(
        f"{runs} scans, {runs * len(ports)} open ports: {missed} missed, {false} false; {everywhere[0]} scans of a host that answers everywhere: {everywhere[1]} not told"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
