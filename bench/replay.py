"""Replay: 10,000 recorded bundles, varied from real ones, judged against the present edition."""

from __future__ import annotations

import random
import re
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
    """Another host like the seed, as hosts of a fleet differ.

    Its own name, ids, address, process numbers, sockets and moments (all of them: when it was installed, what changed when, when it
    was started and looked at); some packages more or less or of another version, and here and there an account or a setting.
    """
    host = _Host(number, chance, seed)
    sources = {name: Evidence(name, one.status, host.content(name, one.content), one.rc) for name, one in seed.sources.items()}
    at = seed.collected_at + timedelta(seconds=host.later)
    return replace(seed, subject=host.name.decode(), collected_at=at, sources=sources, frames=write_frames(sources.values()))


class _Host:
    """What one host has of its own."""

    def __init__(self, number: int, chance: random.Random, seed: Bundle) -> None:
        self.chance = chance
        self.name = b"host-%05d" % number
        self.later = chance.randrange(86400)
        """Seconds by which it is looked at later than the seed."""
        self.older = chance.randrange(90 * 86400)
        """Seconds by which everything that happened on it is longer ago."""
        self.process = chance.randrange(5000)
        """Added to each process number."""
        self.address = b"198.18.%d.%d" % (chance.randrange(2, 250), chance.randrange(1, 250))
        found = re.search(rb"inet (198\.18\.[0-9.]+)/", seed["ip -o addr"].content)
        self.was = found[1] if found else b"none"
        self.open_passwords = chance.random() < 0.3
        self.user = chance.randrange(50) if chance.random() < 0.5 else None

    def content(self, name: str, given: bytes) -> bytes:
        """What this host says where the seed said `given`."""
        if name in ("hostname", "/etc/hostname"):
            return given and self.name
        if name == "/etc/machine-id":
            return given and b"%032x" % self.chance.getrandbits(128)
        if name == "/proc/sys/kernel/random/boot_id":
            return given and b"%08x-0000-4000-8000-%012x" % (self.chance.getrandbits(32), self.chance.getrandbits(48))
        if name == "/proc/uptime" and given:
            up, idle = given.split()
            more = self.older + self.later
            return b"%.2f %.2f" % (float(up) + more, float(idle) + more)
        if name == "/etc/passwd" and self.user is not None:
            return given + b"\nuser%d:x:%d:%d::/home/user%d:/bin/bash" % (self.user, 2000 + self.user, 2000 + self.user, self.user)
        if name.startswith("dpkg-query -W"):
            return b"\n".join(self._package(line) for line in given.split(b"\n") if self.chance.random() > 0.02)
        if name.startswith("sshd -T") and self.open_passwords:
            return given.replace(b"passwordauthentication no", b"passwordauthentication yes")
        return self._own(name, given)

    def _package(self, line: bytes) -> bytes:
        words = line.split(b"\t")
        return b"\t".join((*words[:2], words[2] + b"+u%d" % self.chance.randrange(9), *words[3:])) if self.chance.random() < 0.02 else line

    def _own(self, name: str, given: bytes) -> bytes:
        if name.startswith(("ss ", "/proc/[0-9]*/stat", "/proc/[0-9]*/cmdline", "env TZ=UTC0 systemctl show", "stat -c '%N' /proc")):
            given = _PROCESS.sub(lambda found: found[1] + b"%d" % (int(found[2]) + self.process if int(found[2]) > 1 else int(found[2])), given)
            given = _SOCKET.sub(lambda found: found[1] + b"%x" % self.chance.randrange(0x1000, 0xFFFF), given)
        if name in ("ip -o addr", "ss -H -lntupeO"):
            return _LINK_LOCAL.sub(
                lambda _: b"fe80::%x:%x/64" % (self.chance.randrange(1, 0xFFFF), self.chance.randrange(1, 0xFFFF)), given.replace(self.was, self.address)
            )
        if name.startswith("/etc/"):
            return given  # what people wrote, dates and numbers included
        if name in ("meta", "finished"):
            return _STAMP.sub(lambda found: b"%d" % (int(found[0]) + self.later), given)
        given = _STAMP.sub(lambda found: b"%d" % (int(found[0]) - self.older), given)
        return _MOMENT.sub(lambda found: self._moment(found[0]), given)

    def _moment(self, words: bytes) -> bytes:
        form = "%Y-%m-%d %H:%M:%S" if words[10:11] == b" " else "%Y-%m-%dT%H:%M:%S"
        return (datetime.strptime(words.decode(), form).replace(tzinfo=UTC) - timedelta(seconds=self.older)).strftime(form).encode()


_PROCESS = re.compile(rb"(pid=|PID=|parent=|/proc/)([0-9]{1,7})")
_SOCKET = re.compile(rb"(ino:|sk:)[0-9a-f]{1,8}")
_LINK_LOCAL = re.compile(rb"fe80::[0-9a-f:]+/64")
_STAMP = re.compile(rb"\b17[0-9]{8}\b")
_MOMENT = re.compile(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
