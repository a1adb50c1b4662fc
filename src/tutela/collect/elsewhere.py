"""Look at addresses from another host, over SSH: nothing is installed there, and what it answers is foreign.

A small program goes in by standard input, makes TCP connections from there and tells which succeeded (guest/connect.py).
"""

from __future__ import annotations

import re
from importlib import resources
from ipaddress import ip_address

from tutela.collect.run import Look, Running, Talk, run_probe
from tutela.collect.ssh import NOT_FOUND, SSH_FAILED, explained, ssh_argv
from tutela.collect.target import SshTarget
from tutela.errors import CollectError, last_line
from tutela.language import Text
from tutela.record import record

RATE = 10_000
"""Connections a second: a second vantage is somebody's own machine, not a scanner."""
SECONDS = 90
"""For one address: two rounds over a host that drops everything, from a machine that may open eight thousand files."""


@record
class Seen:
    """What one place saw of one address: Seen(address='192.0.2.10', vantage='198.51.100.7', open=(22,), closed=65534, …)"""

    address: str
    vantage: str | None
    """The address it looked from; None: no route."""
    open: tuple[int, ...] = ()
    closed: int = 0
    filtered: int = 0
    silent: int = 0
    rounds: int = 0
    late: int = 0
    """Ports that answered only when asked again."""
    controls: tuple[int, int] = (0, 0)
    """Questions to ports that had answered before: those without an answer, and all."""
    whole: bool = True
    echo: bool = False
    """It answered an ICMP echo request."""


def look_from(
    place: SshTarget, addresses: tuple[str, ...], ports: str, look: Look, *, options: tuple[str, ...] = (), running: Running | None = None
) -> list[Seen]:
    """Ports (`22,80-90`) of the addresses, seen from `place`.

    Raises CollectError with what went wrong and what to do about it.
    """
    seconds = SECONDS * len(addresses)
    words = ["python3", "-I", "-S", "-B", "-", str(RATE), str(seconds), ports, *addresses]
    plain = Look(timeout_s=look.timeout_s, connect_timeout_s=look.connect_timeout_s)
    program = (resources.files("tutela.collect") / "guest" / "connect.py").read_bytes()
    said, rc, complaints = run_probe(ssh_argv(place, plain, options, words), seconds + 30, running, Talk(program))
    if rc == NOT_FOUND:
        raise CollectError(Text(f"{place.name} 上没有 python3，无法从那里探测", f"there is no python3 on {place.name}, so nobody can look from there"))
    if rc == SSH_FAILED:
        raise CollectError(explained(place, rc, complaints, plain))
    if rc != 0:
        last = last_line(complaints)
        raise CollectError(Text(f"{place.name} 上的探测以 {rc} 退出：{last}", f"the scan on {place.name} ended with {rc}: {last}"))
    found = read_answer(said, addresses)
    if found is None:
        raise CollectError(
            Text(
                f"{place.name} 的回答不是探测结果；请检查该账户的 shell 启动文件",
                f"what {place.name} answered is no scan; look at the start-up files of the account's shell",
            )
        )
    return found


_ADDRESS = re.compile(
    rb"of ([0-9a-fA-F:.]{2,45})\n"
    rb"(?:none\nend\n|from ([0-9a-fA-F:.]{2,45})\n((?:open [1-9][0-9]{0,4}\n){0,65535})answers ([0-9]{1,6}) ([0-9]{1,6}) ([0-9]{1,6}) rounds ([0-9]{1,2}) late ([0-9]{1,6}) controls ([0-9]{1,3}) ([0-9]{1,3})\n(echo\n)?(end|cut)\n)"
)


def read_answer(said: bytes, addresses: tuple[str, ...]) -> list[Seen] | None:
    """What the guest said of these addresses; None when it is anything else."""
    found: list[Seen] = []
    at = 0
    for address in addresses:
        match = _ADDRESS.match(said, at)
        if match is None or match[1].decode() != address:
            return None
        at = match.end()
        if match[2] is None:
            found.append(Seen(address, None))
            continue
        try:
            vantage = str(ip_address(match[2].decode()))
        except ValueError:
            return None
        opened = tuple(sorted({int(line[5:]) for line in match[3].split(b"\n") if line}))
        if opened and opened[-1] > 65535:
            return None
        closed, filtered, silent, rounds, late, unanswered, controls = (int(match[number]) for number in range(4, 11))
        found.append(Seen(address, vantage, opened, closed, filtered, silent, rounds, late, (unanswered, controls), match[12] == b"end", match[11] is not None))
    return found if at == len(said) else None
