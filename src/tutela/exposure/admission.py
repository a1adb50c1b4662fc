"""Who may ask the resident scanner, for what, and how much at a time. No sockets here, and no clock."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

from tutela.errors import ScanError
from tutela.exposure.addresses import Network, Ranges
from tutela.exposure.targets import read_networks
from tutela.exposure.wire import Asking, address_name
from tutela.language import Text
from tutela.record import record

SPECIAL = tuple(ip_network(word) for word in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::ffff:0:0/96", "fe80::/10", "ff00::/8"))
"""No addresses of hosts that a route leads to: unspecified, link-local, multicast, reserved, broadcast (RFC 6890)."""
SHORTEST = {4: 8, 6: 20}
"""Nobody owns more than this; whoever allows a shorter prefix has mistyped it."""
FEW = 256
"""Up to so many addresses, an answer is kept and told again."""


@record
class Limits:
    """Limits(rate=50000.0, jobs=16, …)"""

    rate: float = 50_000.0
    """Packets a second, of all scans together."""
    jobs: int = 16
    """Scans at a time."""
    jobs_a_user: int = 4
    addresses: int = 1 << 16
    """Of one scan."""
    probes: int = 1 << 20
    """Pairs of address and port of one scan: what a scan remembers, about 30 bytes each."""
    seconds: float = 900.0
    """Of one scan."""
    entries: int | None = None
    """Entries in tables of filters on the way that silent ports may fill at a time; None: no budget."""
    again_s: float = 60.0
    """The same question within this time gets the same answer."""


@record
class Peer:
    """Peer(pid=812, uid=1000, groups=(1000, 980)): who is at the other end, by the kernel's word (SO_PEERCRED, unix(7))"""

    pid: int
    uid: int
    groups: tuple[int, ...]


@record
class Allowed:
    """Allowed(users=frozenset({33}), groups=frozenset({980})): who may ask; root and the scanner's own user always may"""

    users: frozenset[int]
    groups: frozenset[int]

    def admits(self, peer: Peer) -> bool:
        """May this one ask?"""
        return peer.uid in self.users or not self.groups.isdisjoint(peer.groups)


class RefusedError(ScanError):
    """A request is not taken; `code` says why in one word, `retry_s` when it may be."""

    def __init__(self, code: str, message: Text, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_s = code, retry_s


class Lists:
    """The prefixes that may be scanned, and those who opted out, as their files say."""

    def __init__(self, allowed: Sequence[Path], opted_out: Sequence[Path]) -> None:
        self._paths = allowed, opted_out
        self.allowed: tuple[Network, ...] = ()
        self.opted_out: tuple[Network, ...] = ()
        self.read()

    def read(self) -> None:
        """Read the files. Raises ScanError, and then all stays as it was."""
        allowed, opted_out = (tuple(network for path in paths for network in read_networks(path)) for paths in self._paths)
        if not allowed:
            named = ", ".join(map(str, self._paths[0]))
            raise ScanError(
                Text(
                    f"{named}{'：' if named else ''}没有允许扫描的网段；请用 --allow 给出列有本单位网段的文件",
                    f"{named}{': ' if named else ''}no prefix may be scanned; name a file with your prefixes with --allow",
                )
            )
        for network in allowed:
            if network.prefixlen < SHORTEST[network.version] or any(network.version == one.version and network.overlaps(one) for one in SPECIAL):
                raise ScanError(
                    Text(f"{network} 不可能是本单位的网段；请检查 --allow 的文件", f"{network} cannot be a prefix of yours; look at the file of --allow")
                )
        self.allowed, self.opted_out = allowed, opted_out


def admitted(asking: Asking, limits: Limits, allowed: Ranges, opted_out: Ranges) -> list[tuple[int, int, int]]:
    """The ranges to scan, each address once, without those that opted out. Raises RefusedError; one foreign address refuses the whole."""
    if asking.count > limits.addresses or asking.count * len(asking.ports) > limits.probes:
        raise RefusedError(
            "too-large",
            Text(
                f"{asking.count} 个地址 × {len(asking.ports)} 个端口太多；常驻扫描进程一次最多 {limits.addresses} 个地址、{limits.probes} 个组合，请分次扫描",
                f"{asking.count} addresses × {len(asking.ports)} ports are too many; the resident scanner takes {limits.addresses} addresses and {limits.probes} pairs at a time: scan in parts",
            ),
        )
    special, taken = Ranges(SPECIAL), Ranges()
    wanted: list[tuple[int, int, int]] = []
    for version, first, last in asking.ranges:
        if special.outside(version, first, last) != [(first, last)]:
            raise RefusedError(
                "special", Text("目标中有组播、广播、链路本地或未指定地址", "among the targets are multicast, broadcast, link-local or unspecified addresses")
            )
        foreign = allowed.outside(version, first, last)
        if foreign:
            name = address_name(version, foreign[0][0])
            raise RefusedError(
                "foreign",
                Text(
                    f"{name} 不在常驻扫描进程允许的网段内；没有发送任何探测包（--method raw 或 connect 从本进程扫描）",
                    f"{name} lies outside the prefixes that the resident scanner may scan; nothing was sent (--method raw or connect scans from your own process)",
                ),
            )
        for part in taken.add(version, first, last):
            wanted += [(version, *kept) for kept in opted_out.outside(version, *part)]
    if not wanted:
        raise RefusedError("opted-out", Text("所有目标都已声明不接受扫描", "all targets opted out of scans"))
    return wanted
