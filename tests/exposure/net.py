"""Two network namespaces joined by a cable: the scanner's and the target's. Nothing of this machine's own network is touched.

The target really listens on its open ports; nft there rejects, drops, answers in the host's place, and loses packets by chance, since netem may be missing from the kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SCANNER, TARGET = "198.18.0.1", "198.18.0.2"
SCANNER6, TARGET6 = "fd98::1", "fd98::2"
SOURCE = Path(__file__).parents[2] / "src"
_LISTEN = """
import json, select, socket, sys
# 198.18.0.2 and fd98::2, and every other address of this namespace.
held = []
for port in json.load(sys.stdin):
    for family in (socket.AF_INET, socket.AF_INET6):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(("", port))
        one.listen(128)
        held.append(one)
print("listening", flush=True)
poll = select.epoll()
for one in held:
    poll.register(one.fileno(), select.EPOLLIN)
by = {one.fileno(): one for one in held}
kept = []
while True:
    for number, _ in poll.poll():
        kept = [*kept[-100:], by[number].accept()[0]]
"""


class Net:
    """Use as a context manager. `run` runs in the scanner's namespace, `target` in the target's.

    With `delay_ms`, what the target sends back leaves by a cable of its own, and a relay (relay.c) holds it for so long before it goes to the scanner.
    """

    def __init__(self, delay_ms: float = 0) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self._scanner = self._namespace()
        self._target = self._namespace()
        self.run(["ip", "link", "add", "scan0", "type", "veth", "peer", "name", "host0", "netns", str(self._target)])
        for run, name, address, address6 in ((self.run, "scan0", SCANNER, SCANNER6), (self.target, "host0", TARGET, TARGET6)):
            run(["ip", "link", "set", "lo", "up"])
            run(["ip", "address", "add", f"{address}/24", "dev", name])
            run(["ip", "address", "add", f"{address6}/64", "dev", name, "nodad"])
            run(["ip", "link", "set", name, "up"])
        # Neighbours are written down, so that no first packet waits for ARP.
        mine, theirs = (json.loads(run(["ip", "-j", "link", "show", name]).stdout)[0]["address"] for run, name in ((self.run, "scan0"), (self.target, "host0")))
        for run, name, other, mac in ((self.run, "scan0", (TARGET, TARGET6), theirs), (self.target, "host0", (SCANNER, SCANNER6), mine)):
            for address in other:
                run(["ip", "neighbour", "replace", address, "lladdr", mac, "dev", name, "nud", "permanent"])
        if delay_ms:
            self._delay(delay_ms, mine)

    def _delay(self, delay_ms: float, scanner: str) -> None:
        self.target(["ip", "link", "add", "back0", "type", "veth", "peer", "name", "held0"])
        # What arrives at held0 is for the relay alone, and what leaves by back0 was asked on another interface.
        self.target(["sysctl", "-qw", "net.ipv6.conf.held0.disable_ipv6=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.host0.rp_filter=0"])
        for name in ("back0", "held0"):
            self.target(["ip", "link", "set", name, "up"])
        for address, own in ((SCANNER, TARGET), (SCANNER6, TARGET6)):
            self.target(["ip", "neighbour", "replace", address, "lladdr", scanner, "dev", "back0", "nud", "permanent"])
            self.target(["ip", "route", "replace", address, "dev", "back0", "src", own])
        self._relaying = self.start_on_target([str(_relay()), "back0", "held0", "host0", str(delay_ms)])
        assert self._relaying.stdout is not None
        assert self._relaying.stdout.readline() == "relaying\n"

    def lost_by_relay(self) -> int:
        """End the relay; how many packets it had no room for, which the scanner must not be blamed for."""
        self._relaying.terminate()
        return int(self._relaying.communicate()[0].split()[-1])

    def open(self, count: int, *, seed: int = 1, also: Sequence[int] = (), here: bool = False) -> frozenset[int]:
        """Listen on that many ports of the target (or of the scanner itself), chosen by chance; returns them."""
        chosen = frozenset(random.Random(seed).sample(range(1, 65536), count)) | frozenset(also)
        listener = (self.start if here else self.start_on_target)([sys.executable, "-c", _LISTEN])
        assert listener.stdin is not None
        assert listener.stdout is not None
        listener.stdin.write(json.dumps(sorted(chosen)))
        listener.stdin.close()
        assert listener.stdout.readline() == "listening\n"
        return chosen

    def nft(self, rules: str, *, scanner: bool = False) -> None:
        """Replace the rules of the target (or of the scanner)."""
        (self.run if scanner else self.target)(["nft", "-f", "-"], stdin="flush ruleset\n" + rules)

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run in the scanner's namespace."""
        return self._in(self._scanner, argv, stdin, check=check, environment=environment)

    def target(self, argv: Sequence[str], *, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run in the target's namespace."""
        return self._in(self._target, argv, stdin, check=check, environment=None)

    def start_on_target(self, argv: Sequence[str], **options: object) -> subprocess.Popen[str]:
        """A process of the target's, ended with the net."""
        return self._start(["nsenter", "-t", str(self._target), "-n", *argv], **options)

    def start(self, argv: Sequence[str], **options: object) -> subprocess.Popen[str]:
        """A process of the scanner's, ended with the net."""
        return self._start(["nsenter", "-t", str(self._scanner), "-n", *argv], **options)

    def timed(self, argv: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> tuple[float, float, float]:
        """Run in the scanner's namespace, output to nowhere: wall seconds, CPU seconds and peak resident MB as the kernel accounts them."""
        started = time.monotonic()
        command = ["nsenter", "-t", str(self._scanner), "-n", *argv]
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, env=environment, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{' '.join(argv)} ended with {process.returncode}"
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def python(self, code: str, *arguments: str) -> str:
        """Run Python with Tutela in the scanner's namespace; returns what it prints."""
        done = self.run([sys.executable, "-c", code, *arguments], environment=os.environ | {"PYTHONPATH": str(SOURCE)}, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        """End what runs; the namespaces go with it."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _namespace(self) -> int:
        holder = self._start(["unshare", "--net", "sh", "-c", "echo here; exec sleep infinity"])
        assert holder.stdout is not None
        assert holder.stdout.readline() == "here\n"
        return holder.pid

    def _start(self, argv: Sequence[str], **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
        self._processes.append(process)
        return process

    @staticmethod
    def _in(pid: int, argv: Sequence[str], stdin: str | None, *, check: bool, environment: dict[str, str] | None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(["nsenter", "-t", str(pid), "-n", *argv], input=stdin, capture_output=True, text=True, env=environment, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.stderr}")
        return done


def _relay() -> Path:
    """The relay, compiled once."""
    source = Path(__file__).parent / "relay.c"
    made = Path(tempfile.gettempdir()) / f"tutela-relay-{os.getuid()}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if not made.exists():
        part = made.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(part), str(source)], check=True)
        part.rename(made)
    return made


def losing(share: float) -> str:
    """Rules that lose this share of packets each way."""
    lost = round(share * 1000)
    return f"""
        table inet loss {{
            chain in {{ type filter hook prerouting priority -400; numgen random mod 1000 < {lost} drop; }}
            chain out {{ type filter hook output priority 400; numgen random mod 1000 < {lost} drop; }}
        }}
    """


def dropping(ports: Sequence[int] | frozenset[int], otherwise: str = "drop") -> str:
    """Rules that let through only these ports."""
    return f"""
        table inet filter {{
            set open {{ type inet_service; elements = {{ {", ".join(map(str, sorted(ports)))} }}; }}
            chain in {{
                type filter hook input priority 0;
                meta l4proto {{ icmp, ipv6-icmp }} accept
                tcp dport @open accept
                meta l4proto tcp iif != "lo" {otherwise}
            }}
        }}
    """


def answering_everywhere(port: int) -> str:
    """Rules under which every port leads to one that listens."""
    return f"""
        table inet nat {{
            chain in {{
                type nat hook prerouting priority -100;
                iif "host0" tcp dport 1-65535 redirect to :{port}
            }}
        }}
    """


def proxying_syns(ports: frozenset[int]) -> str:
    """Rules of a SYN proxy in front of a host that drops all but these ports: the handshake always succeeds."""
    return f"""
        table inet proxy {{
            set open {{ type inet_service; elements = {{ {", ".join(map(str, sorted(ports)))} }}; }}
            chain raw {{ type filter hook prerouting priority -300; iif "host0" tcp flags syn notrack; }}
            chain in {{
                type filter hook input priority 0;
                iif "host0" ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
                iif "host0" tcp dport != @open drop
            }}
        }}
    """
