"""Whom a scan may ask: addresses, prefixes, names and lists, held against the prefixes that are ours and the list of those who opted out."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from tutela.errors import ScanError, said_by_system
from tutela.exposure.addresses import Addresses, Network, Ranges
from tutela.exposure.model import Address
from tutela.exposure.routes import own_broadcasts
from tutela.language import Text

_NUMERIC = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)
"""The last label of no host's name: RFC 1123, section 2.1."""
_THIS_NETWORK, _MAPPED = ip_network("0.0.0.0/8"), ip_network("::ffff:0:0/96")
MOST = 1 << 20
"""Addresses of one scan. A /12; whoever means more has mistyped a prefix."""


def read_targets(words: Sequence[str], *, allowed: Sequence[Network] = (), opted_out: Sequence[Network] = ()) -> Addresses:
    """Addresses that the words name, each once, in their order (IPv4 first), without those that opted out.

    A word is an address, a prefix (192.0.2.0/24), a host's name (all its addresses), or @FILE with such words, one a line.
    With `allowed`, everything must lie inside; one foreign address refuses the whole, since a mistyped prefix means that nothing in the list is sure.
    Raises ScanError.
    """
    ours, away, broadcasts = Ranges(allowed), Ranges(opted_out), Ranges(_broadcasts())
    found = Ranges()
    wanted: list[tuple[int, int, int]] = []
    count = 0
    for word, where in _words(words):
        for version, first, last in _ranges(word, where):
            new = found.add(version, first, last)
            count += sum(other - one + 1 for one, other in new)
            if count > MOST:
                raise ScanError(
                    Text(
                        f"{where}：{word} 使地址总数达到 {count}，一次最多 {MOST} 个；请写更小的网段",
                        f"{where}: with {word} there are {count} addresses, and one scan takes at most {MOST}; write smaller prefixes",
                    )
                )
            _refuse_special(version, first, last, where, broadcasts)
            if allowed:
                _refuse_foreign(version, ours.outside(version, first, last), where, allowed)
            for part in [kept for one in new for kept in broadcasts.outside(version, *one)]:
                wanted += [(version, *kept) for kept in away.outside(version, *part)]
    if not wanted:
        raise ScanError(Text("没有可扫描的目标：列表为空，或都已声明不接受扫描", "there is nothing to scan: the list is empty, or all of it opted out"))
    return Addresses.of_ranges(wanted)


def read_networks(path: Path) -> tuple[Network, ...]:
    """Prefixes or addresses of a file, one a line, `#` begins a comment. Raises ScanError."""
    return tuple(_network(word, where) for word, where in _lines(path))


def _words(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    for word in words:
        if word.startswith("@"):
            yield from _lines(Path(word[1:]))
        else:
            yield word, word


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    try:
        text = path.read_text("utf-8")
    except OSError as problem:
        why = said_by_system(problem)
        raise ScanError(Text(f"无法读取 {path}：{why.zh}", f"cannot read {path}: {why.en}")) from None
    except UnicodeDecodeError:
        raise ScanError(Text(f"{path} 不是 UTF-8 文本", f"{path} is no UTF-8 text")) from None
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if word:
            yield word, f"{path}:{number}"


def _ranges(word: str, where: str) -> Iterable[tuple[int, int, int]]:
    """Version, first and last address of what a word names."""
    try:
        address = ip_address(word)
    except ValueError:
        pass
    else:
        if isinstance(address, IPv6Address) and address.scope_id:
            raise ScanError(
                Text(
                    f"{where}：{word!r} 只在一个接口所在的链路上有效，不能扫描；请写主机的其他地址",
                    f"{where}: {word!r} is known on the link of one interface only and cannot be scanned; write another address of the host",
                )
            )
        return ((address.version, int(address), int(address)),)
    if "/" not in word:
        if _NUMERIC.search(word):
            # getaddrinfo(3) would take 10.1 for 10.0.0.1, 192.0.2.010 for 192.0.2.8, and a port number for an address.
            raise ScanError(
                Text(
                    f"{where}：{word!r} 不是地址（例如 192.0.2.10）；端口请写在 -p 之后", f"{where}: {word!r} is no address (like 192.0.2.10); ports go with -p"
                )
            )
        return tuple((address.version, int(address), int(address)) for address in _resolve(word, where))
    network = _network(word, where)
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.num_addresses > 2:
        # The network's own address is no host; nor is the last one in IPv4, to which all would answer.
        first, last = first + 1, last - (network.version == 4)
    return ((network.version, first, last),)


def _network(word: str, where: str) -> Network:
    try:
        return ip_network(word, strict=True)
    except ValueError as problem:
        place = _place(word, where)
        if "://" in word:
            raise ScanError(
                Text(f"{place.zh}{word!r} 不是地址；请只写地址或主机名", f"{place.en}{word!r} is no address; name the address or the host alone")
            ) from None
        raise ScanError(
            Text(
                f"{place.zh}{word!r} 不是网段（例如 192.0.2.0/24，主机位须为零）",
                f"{place.en}{word!r} is no prefix (like 192.0.2.0/24, no host bits set): {problem}",
            )
        ) from None


def _place(word: str, where: str) -> Text:
    """Where a word stands, unless it stands on the command line by itself."""
    return Text("", "") if where == word else Text(f"{where}：", f"{where}: ")


def _resolve(name: str, where: str) -> tuple[Address, ...]:
    """All addresses of a name, looked up once: what is scanned is what was checked, whatever the name says a moment later."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        place = _place(name, where)
        raise ScanError(
            Text(
                f"{place.zh}{name!r} 既不是地址也不是能解析的主机名：{reason}",
                f"{place.en}{name!r} is neither an address nor a name that resolves: {reason}",
            )
        ) from None
    return tuple(dict.fromkeys(ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers))


def _broadcasts() -> list[Network]:
    """Of this machine's own networks. In the midst of a larger prefix they are left out."""
    try:
        return [ip_network(one) for one in own_broadcasts()]
    except OSError:
        return []


def _refuse_special(version: int, first: int, last: int, where: str, broadcasts: Ranges) -> None:
    for address in (_address(version, first), _address(version, last)):
        if (
            address.is_multicast
            or address in _THIS_NETWORK
            or address.is_unspecified
            or (address.version == 4 and int(address) == 0xFFFFFFFF)
            or (first == last and address in broadcasts)
        ):
            raise ScanError(
                Text(
                    f"{where}：{address} 不是一台主机的地址（组播、广播或未指定）",
                    f"{where}: {address} is no address of a host (multicast, broadcast or unspecified)",
                )
            )
        if address in _MAPPED:
            # The kernel would ask the IPv4 host, past a list of those who opted out that names it as such.
            raise ScanError(
                Text(
                    f"{where}：{address} 是写成 IPv6 的 IPv4 地址；请写 IPv4 地址",
                    f"{where}: {address} is an IPv4 address in the form of IPv6; write the IPv4 address",
                )
            )


def _refuse_foreign(version: int, foreign: list[tuple[int, int]], where: str, allowed: Sequence[Network]) -> None:
    if foreign:
        address, ours = _address(version, foreign[0][0]), ", ".join(map(str, allowed))
        raise ScanError(
            Text(
                f"{where}：{address} 不在允许扫描的网段（{ours}）内；没有发送任何探测包",
                f"{where}: {address} lies outside the prefixes that may be scanned ({ours}); nothing was sent",
            )
        )


def _address(version: int, number: int) -> Address:
    return IPv4Address(number) if version == 4 else IPv6Address(number)
