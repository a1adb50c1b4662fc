"""Who listens: TCP sockets in LISTEN, UDP sockets without a peer.

Source: ss(8); where it is missing, /proc/net/{tcp,tcp6,udp,udp6} (proc(5)), which do not name the process.
A dual-stack socket on `::` accepts IPv4 too and stands here once for each family.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from tutela.evidence import Reason, Status, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record, replace

SS = "ss -H -lntupeO"
PROC = {"/proc/net/tcp": ("tcp", "ipv4"), "/proc/net/tcp6": ("tcp", "ipv6"), "/proc/net/udp": ("udp", "ipv4"), "/proc/net/udp6": ("udp", "ipv6")}
PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
BINDV6ONLY = "/proc/sys/net/ipv6/bindv6only"
ANY = "0.0.0.0"  # noqa: S104 - an address that is seen, not bound
NEEDS = (SS, *PROC, PORT_RANGE, BINDV6ONLY)

CLIENTS = frozenset(
    [
        "systemd-resolve",
        "systemd-resolved",
        "systemd-timesyn",
        "systemd-network",
        "chronyd",
        "ntpd",
        "ntpsec-ntpd",
        "ntpdate",
        "unbound",
        "named",
        "dnsmasq",
        "avahi-daemon",
        "dhclient",
        "dhcpcd",
        "NetworkManager",
        "nscd",
        "sssd_be",
        "rsyslogd",
    ]
)
"""Programs that ask over UDP from a port the kernel chose; such a socket is a question waiting for its answer, no service."""


@record
class Socket:
    """Socket(protocol='tcp', family='ipv4', address='0.0.0.0', port=22, interface=None, local=False, process='sshd', pid=612, unit='ssh.service', dual=False)"""

    protocol: str
    """tcp | udp"""
    family: str
    """ipv4 | ipv6: of the packets it accepts, so a dual-stack socket is two of these."""
    address: str
    """`0.0.0.0` or `::` is every address."""
    port: int
    interface: str | None
    """The only interface it is bound to."""
    local: bool
    """Bound to a loopback address, so nothing from outside gets here."""
    process: str | Unobserved | None
    """Name of the program; None: a socket of the kernel itself."""
    pid: int | Unobserved | None
    unit: str | None
    """Last part of its control group: `ssh.service`, `docker-….scope`; None when it has none or the kernel does not say."""
    dual: bool
    """One half of a dual-stack socket."""


@record
class Sockets:
    """Sockets(listening=(Socket(…), …))"""

    listening: tuple[Socket, ...]
    """By protocol, port, family, address."""


def parse(look: Look) -> Sockets | Unobserved:
    """The fact; from ss, else from /proc/net."""
    if look.source(SS).status in (Status.OK, Status.MISSING):
        found = _from_ss(look)
    else:
        found = _from_proc(look)
        if isinstance(found, Unobserved) and look.source(SS).status is not Status.ABSENT:
            found = _from_ss(look)
    if isinstance(found, Unobserved):
        return found
    first, last = _port_range(look)
    kept = [one for one in found if not (one.protocol == "udp" and first <= one.port <= last and one.process in CLIENTS)]
    return Sockets(tuple(sorted(kept, key=lambda one: (one.protocol, one.port, one.family, one.address, one.interface or "", str(one.pid)))))


def _port_range(look: Look) -> tuple[int, int]:
    words = look.text(PORT_RANGE)
    numbers = words.split() if isinstance(words, str) else []
    if len(numbers) == 2 and all(re.fullmatch(r"[0-9]{1,5}", one) for one in numbers):
        return int(numbers[0]), int(numbers[1])
    return 32768, 60999  # the kernel's own default, ip(7)


# --- ss --------------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"(tcp|udp) +(LISTEN|UNCONN) +[0-9]+ +[0-9]+ +(\S+):([0-9]{1,5}) +(\S+)(?: (.*))?")
_USER = re.compile(r'\("(.{0,64}?)",pid=([0-9]{1,9}),fd=[0-9]{1,9}\)')
_GROUP = re.compile(r"(?:^| )cgroup:(/\S*)")


def _from_ss(look: Look) -> list[Socket] | Unobserved:
    lines = look.lines(SS)
    if isinstance(lines, Unobserved):
        return lines
    root = look.as_root
    found: list[Socket] = []
    for line in lines:
        if not line.strip() or line.startswith(("unreachable ", "icmp", "raw ", "p_raw", "u_")):
            continue
        match = _LINE.match(line)
        if match is None:
            return _strange(SS, line)
        protocol, _, where, port, _, rest = match.groups()
        rest = rest or ""
        address, _, interface = where.partition("%")
        dual = "v6only:0" in rest.split() or address == "*"
        address = "::" if address == "*" else address.strip("[]")
        if "%" in where:
            interface = interface.rstrip("]")
        # systemd keeps a socket that it handed to a service; the service is who answers.
        user = next((one for one in _USER.finditer(rest) if one[2] != "1"), None) or _USER.search(rest)
        group = _GROUP.search(rest)
        made = _socket(SS, protocol, address, int(port), interface or None)
        if isinstance(made, Unobserved):
            return made
        made = replace(
            made,
            process=user[1] if user else None if root else _unnamed(),
            pid=int(user[2]) if user else None if root else _unnamed(),
            unit=_unit(group[1]) if group else None,
        )
        found += _families(made, dual=dual)
    return found


def _unit(group: str) -> str | None:
    """`/system.slice/ssh.service` -> `ssh.service`; a slice or the root is no unit that serves."""
    for part in reversed(group.split("/")):
        if part.endswith((".service", ".socket", ".scope", ".mount")):
            return part
    return None


def _unnamed() -> Unobserved:
    return Unobserved(Reason.PRIVILEGE, SS, Text("没有 root 权限，看不到是哪个进程", "only root sees which process it is"))


# --- /proc/net -------------------------------------------------------------------------------------------------------

_ROW = re.compile(r" *[0-9]+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) ")


def _from_proc(look: Look) -> list[Socket] | Unobserved:
    found: list[Socket] = []
    nameless = Unobserved(Reason.NO_ANSWER, SS, Text("没有 ss 命令，看不到是哪个进程", "without ss no process is named"))
    for name, (protocol, family) in PROC.items():
        lines = look.lines(name)
        if isinstance(lines, Unobserved):
            if family == "ipv6" and look.source(name).status is Status.ABSENT:
                continue  # a kernel without IPv6
            return lines
        for line in lines[1:]:
            if not line.strip():
                continue
            match = _ROW.match(line)
            if match is None:
                return _strange(name, line)
            if match[3] != ("0A" if protocol == "tcp" else "07"):
                continue
            made = _socket(name, protocol, _address(match[1]), int(match[2], 16), None)
            if isinstance(made, Unobserved):
                return made
            found.append(replace(made, process=nameless, pid=nameless))
    both = []
    bound = {(one.protocol, one.port) for one in found if one.family == "ipv4" and one.address == ANY}
    only = look.text(BINDV6ONLY)
    for one in found:
        # /proc does not say whether a `::` socket takes IPv4; it cannot when another socket has the port there.
        dual = one.address == "::" and (one.protocol, one.port) not in bound and not (isinstance(only, str) and only.strip() == "1")
        both += _families(one, dual=dual)
    return both


def _address(digits: str) -> str:
    """Hexadecimal 32-bit words in the byte order of a little-endian machine."""
    raw = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
    return str(ip_address(raw))


# --- both ------------------------------------------------------------------------------------------------------------


def _socket(source: str, protocol: str, address: str, port: int, interface: str | None) -> Socket | Unobserved:
    try:
        known = ip_address(address)
    except ValueError:
        return _strange(source, address)
    if port > 65535:
        return _strange(source, str(port))
    mapped = known.ipv4_mapped if known.version == 6 else None
    if mapped is not None:
        known = mapped
    return Socket(
        protocol=protocol,
        family=f"ipv{known.version}",
        address=str(known),
        port=port,
        interface=interface,
        local=known.is_loopback or interface == "lo",
        process=None,
        pid=None,
        unit=None,
        dual=False,
    )


def _families(one: Socket, *, dual: bool) -> list[Socket]:
    if dual and one.address == "::":
        return [replace(one, dual=True), replace(one, dual=True, family="ipv4", address=ANY)]
    return [one]


def _strange(source: str, line: str) -> Unobserved:
    quoted = line.strip()[:120]
    return Unobserved(Reason.FORMAT, source, Text(f"无法理解的一行：{quoted!r}", f"a line that is not understood: {quoted!r}"))
