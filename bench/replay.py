"""Replay: 10,000 recorded bundles, varied from real ones, judged against the present edition."""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.measure import ROOT, TUTELA, goal, once
from tutela.collect.archive import read_bundle, write_whole
from tutela.evidence import Bundle, Evidence
from tutela.evidence.bundle import write_frames

COUNT = 10_000


def main() -> None:
    seeds = [read_bundle(path) for path in sorted((ROOT / "examples").glob("*.bundle"))]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        few.mkdir()
        many.mkdir()
        chance = random.Random(20251210)
        for number in range(COUNT):
            raw = _varied(seeds[number % len(seeds)], number, chance).to_bytes()
            write_whole(many / f"host-{number:05}.bundle", raw)
            if number < COUNT // 10:
                write_whole(few / f"host-{number:05}.bundle", raw)
            if number % 500 == 0:
                print(f"\r\x1b[K  making bundles {number}/{COUNT}", end="", file=sys.stderr)
        print("\r\x1b[K", end="", file=sys.stderr)
        small = _timed(few)
        large = _timed(many)
    print("\nReplay, jsonl, two cores")
    print(f"  {COUNT // 10:>6} bundles {small[0]:>8.2f}s {COUNT / 10 / small[0]:>7.0f}/s {small[2]:>6.0f} MB in the largest process")
    print(f"  {COUNT:>6} bundles {large[0]:>8.2f}s {COUNT / large[0]:>7.0f}/s {large[2]:>6.0f} MB in the largest process")
    goal(f"at least 500 bundles a second: {COUNT / large[0]:.0f}", met=COUNT / large[0] >= 500)
    goal(f"memory flat: {large[2] / small[2]:.2f} times as much for ten times as many", met=large[2] / small[2] < 1.25)


def _timed(folder: Path) -> tuple[float, float, float]:
    return once([*TUTELA, "check", str(folder), "--format", "jsonl"])


def _varied(seed: Bundle, number: int, chance: random.Random) -> Bundle:
    """Another host like the seed: another name and time, other packages, ports, accounts and settings here and there."""
    sources = dict(seed.sources)

    def change(name: str, old: bytes, new: bytes) -> None:
        if name in sources:
            sources[name] = Evidence(name, sources[name].status, sources[name].content.replace(old, new), sources[name].rc)

    change("hostname", sources["hostname"].content, b"host-%05d" % number)
    change("/etc/hostname", sources["/etc/hostname"].content, b"host-%05d" % number)
    change("/etc/machine-id", sources["/etc/machine-id"].content, b"%032x" % chance.getrandbits(128))
    change("/proc/uptime", sources["/proc/uptime"].content, b"%d.00 0.00" % chance.randrange(10**7))
    if "/etc/passwd" in sources and chance.random() < 0.5:
        one = sources["/etc/passwd"]
        user = chance.randrange(50)
        sources["/etc/passwd"] = Evidence(
            one.name, one.status, one.content + b"\nuser%d:x:%d:%d::/home/user%d:/bin/bash" % (user, 2000 + user, 2000 + user, user)
        )
    for name in list(sources):
        if name.startswith("dpkg-query -W"):
            lines = sources[name].content.split(b"\n")
            kept = [line for line in lines if chance.random() > 0.02]
            sources[name] = Evidence(name, sources[name].status, b"\n".join(kept))
        elif name.startswith("sshd -T") and chance.random() < 0.3:
            change(name, b"passwordauthentication no", b"passwordauthentication yes")
    at = seed.collected_at + timedelta(seconds=chance.randrange(86400))
    return replace(seed, subject=f"host-{number:05}", collected_at=at, sources=sources, frames=write_frames(sources.values()))
