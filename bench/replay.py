"""Replay: 10,000 recorded bundles, varied from real ones, judged against the present edition.

Judged again is what was kept: a fleet, host by host, day after day. So they are a thousand hosts on ten days.
The hosts were installed from forty images, as fleets are, and each differs from all others in what hosts have of their own; see `_Image` and `_Host`.
The hard case comes first: all hosts on one day only, no bundle like another.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.measure import ROOT, TUTELA, goal, once
from tutela.collect.archive import read_bundle, write_bundle
from tutela.evidence import Bundle, Evidence
from tutela.evidence.bundle import write_frames

HOSTS, DAYS, IMAGES = 1_000, 10, 40


def main() -> None:
    seeds = [read_bundle(path) for path in sorted((ROOT / "examples").glob("*.bundle"))]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        few.mkdir()
        many.mkdir()
        chance = random.Random(20251210)
        images = [_Image(seeds[number % len(seeds)], chance) for number in range(IMAGES)]
        for number in range(HOSTS):
            host = _Host(number, chance, images[chance.randrange(IMAGES)])
            for day in range(DAYS):
                bundle = host.recorded(day)
                write_bundle(many / f"{host.name}-day-{day}.bundle", bundle)
                if day == 0:
                    write_bundle(few / f"{host.name}.bundle", bundle)
            if number % 50 == 0:
                print(f"\r\x1b[K  making bundles {number * DAYS}/{HOSTS * DAYS}", end="", file=sys.stderr)
        print("\r\x1b[K", end="", file=sys.stderr)
        small = _timed(few)
        large = _timed(many)
    print("\nReplay, jsonl, two cores")
    for count, days, (wall, cpu, size) in ((HOSTS, "one day", small), (HOSTS * DAYS, f"{DAYS} days", large)):
        rate = f"{count / wall:>7.0f}/s {1000 * cpu / count:>6.2f} ms CPU each"
        print(f"  {HOSTS} hosts, {days:<8} {count:>6} bundles {wall:>8.2f}s {rate} {size:>6.0f} MB in the largest process")
    goal(f"at least 500 bundles a second: {HOSTS * DAYS / large[0]:.0f}", met=HOSTS * DAYS / large[0] >= 500)
    goal(f"memory flat: {large[2] / small[2]:.2f} times as much for ten times as many", met=large[2] / small[2] < 1.25)


def _timed(folder: Path) -> tuple[float, float, float]:
    return once([*TUTELA, "check", str(folder), "--format", "jsonl"])


class _Image:
    """What hosts are installed from: a real host's packages, some of them left out or of another version, and its settings."""

    def __init__(self, seed: Bundle, chance: random.Random) -> None:
        self.seed = seed
        self.open_passwords = chance.random() < 0.3
        name = next(name for name in seed.sources if name.startswith("dpkg-query -W"))
        kept = [line for line in seed[name].content.split(b"\n") if chance.random() > 0.02]
        self.updates = [kept]
        """Lists of packages, before the first update and after each."""
        for _ in range(DAYS):
            kept = [_newer(line) if chance.random() < 0.02 else line for line in kept]
            self.updates.append(kept)


def _newer(line: bytes) -> bytes:
    words = line.split(b"\t")
    return b"\t".join((*words[:2], words[2] + b"+u1", *words[3:])) if len(words) == 4 else line


class _Host:
    """A host of its own, and what happens to it from day to day.

    Of its own: name, ids, addresses, moments at which it was installed and set up, perhaps an account more.
    Every day: when it is looked at, how long it has been up, its logs (moments and sizes), logins, what timers did, when updates were looked for.
    One day in ten it is updated: other versions of packages, other processes and sockets, services started anew; of these every third time a reboot.
    One day in fifty somebody changes a setting of sshd.
    """

    def __init__(self, number: int, chance: random.Random, image: _Image) -> None:
        self.chance, self.image = chance, image
        self.name = f"host-{number:05}"
        self.older = chance.randrange(90 * 86400)
        """Seconds by which its installation is longer ago."""
        self.address = b"198.18.%d.%d" % (chance.randrange(2, 250), chance.randrange(1, 250))
        found = re.search(rb"inet (198\.18\.[0-9.]+)/", image.seed["ip -o addr"].content)
        self.was = found[1] if found else b"none"
        self.machine_id = b"%032x" % chance.getrandbits(128)
        self.user = chance.randrange(50) if chance.random() < 0.5 else None
        self.open_passwords = image.open_passwords
        self.updated = 0
        self.up = self.older
        """Seconds by which it has been up longer than its seed, at the beginning of the first day."""
        self._start()
        self._reboot()

    def _start(self) -> None:
        self.process = self.chance.randrange(5000)
        """Added to each process number."""
        self.sockets = self.chance.getrandbits(32)
        self.started = -self.chance.randrange(3600)
        """Seconds by which its services were started later than those of the seed."""
        self.kept: dict[str, Evidence] = {}
        """Sources that are the same until the next update."""

    def _reboot(self) -> None:
        self.boot_id = b"%08x-0000-4000-8000-%012x" % (self.chance.getrandbits(32), self.chance.getrandbits(48))

    def recorded(self, day: int) -> Bundle:
        """What is recorded on a day."""
        seed = self.image.seed
        if day and self.chance.random() < 0.1:
            self.updated += 1
            self._start()
            self.started += day * 86400
            if self.chance.random() < 1 / 3:
                self._reboot()
                self.up = -day * 86400
        if day and self.chance.random() < 0.02:
            self.open_passwords = not self.open_passwords
            self.kept = {}
        later = day * 86400 + self.chance.randrange(3600)
        sources = {}
        for name, one in seed.sources.items():
            if name in self.kept:
                sources[name] = self.kept[name]
                continue
            sources[name] = Evidence(name, one.status, self._content(name, one.content, later), one.rc)
            if not name.startswith(_EVERY_DAY):
                self.kept[name] = sources[name]
        at = seed.collected_at + timedelta(seconds=later)
        return replace(seed, subject=self.name, collected_at=at, sources=sources, frames=write_frames(sources.values()))

    def _content(self, name: str, given: bytes, later: int) -> bytes:
        """What this host says where the seed said `given`."""
        if not given:
            return given
        if name in ("hostname", "/etc/hostname"):
            return self.name.encode()
        if name == "/etc/machine-id":
            return self.machine_id
        if name == "/proc/sys/kernel/random/boot_id":
            return self.boot_id
        if name == "/proc/uptime":
            return b" ".join(b"%.2f" % (float(word) + self.up + later) for word in given.split())
        if name == "/etc/passwd" and self.user is not None:
            return given + b"\nuser%d:x:%d:%d::/home/user%d:/bin/bash" % (self.user, 2000 + self.user, 2000 + self.user, self.user)
        if name.startswith("dpkg-query -W"):
            return b"\n".join(self.image.updates[self.updated])
        if name.startswith("sshd -T") and self.open_passwords:
            return given.replace(b"passwordauthentication no", b"passwordauthentication yes")
        if name in ("ip -o addr", "ss -H -lntupeO"):
            own = random.Random(self.machine_id)
            given = _LINK_LOCAL.sub(lambda _: b"fe80::%x:%x/64" % (own.randrange(1, 0xFFFF), own.randrange(1, 0xFFFF)), given.replace(self.was, self.address))
        if name.startswith(_OF_PROCESSES):
            sockets = random.Random(self.sockets)
            given = _PROCESS.sub(lambda found: found[1] + b"%d" % (int(found[2]) + self.process if int(found[2]) > 1 else int(found[2])), given)
            given = _SOCKET.sub(lambda found: found[1] + b"%x" % sockets.randrange(0x1000, 0xFFFF), given)
        if name.startswith("/etc/"):
            return given  # what people wrote, dates and numbers included
        shift = later if name in ("meta", "finished") else self._shift(name, later)
        if name.endswith("(logs)"):
            given = _SIZE.sub(lambda found: found[1] + b"%d" % (int(found[2]) + self.chance.randrange(1000)), given)
        given = _STAMP.sub(lambda found: b"%d" % (int(found[0]) + shift), given)
        return _MOMENT.sub(lambda found: _moment(found[0], shift), given)

    def _shift(self, name: str, later: int) -> int:
        """Seconds by which what a source tells of happened later here."""
        if name.startswith(_EVERY_DAY):
            return later - self.chance.randrange(3600)
        return self.started if name.startswith(_OF_PROCESSES) else -self.older


def _moment(words: bytes, shift: int) -> bytes:
    form = "%Y-%m-%d %H:%M:%S" if words[10:11] == b" " else "%Y-%m-%dT%H:%M:%S"
    return (datetime.strptime(words.decode(), form).replace(tzinfo=UTC) + timedelta(seconds=shift)).strftime(form).encode()


_EVERY_DAY = (
    "meta",
    "finished",
    "/proc/uptime",
    "last ",
    "lastlog",
    "journalctl",
    "tail ",
    "stat -c '%a %U %G %s %Y %W %F|%n' (logs)",
    "stat -L -c '%Y %Z %n' (updates)",
    "stat -L -c '%a %u %g %s %Y %F %n' (",
    "env TZ=UTC0 systemctl show -p Id,LoadState,ActiveState,SubState,User,ExecStart",
)
_OF_PROCESSES = ("ss ", "/proc/[0-9]*", "env TZ=UTC0 systemctl show", "systemctl show", "stat -c '%N' /proc")
_SIZE = re.compile(rb"((?:^|\n)[0-7]+ \S+ \S+ )([0-9]{3,6})(?= )")
_PROCESS = re.compile(rb"(pid=|PID=|parent=|/proc/)([0-9]{1,7})")
_SOCKET = re.compile(rb"(ino:|sk:)[0-9a-f]{1,8}")
_LINK_LOCAL = re.compile(rb"fe80::[0-9a-f:]+/64")
_STAMP = re.compile(rb"\b17[0-9]{8}\b")
_MOMENT = re.compile(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
