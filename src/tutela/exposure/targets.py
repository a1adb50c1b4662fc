"""Whom a scan may ask: addresses, prefixes, names and lists, held against the prefixes that are ours and the list of those who opted out."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from tutela.errors import ScanError
from tutela.exposure.model import Address
from tutela.language import Text

Network = IPv4Network | IPv6Network
MOST = 1 << 20
"""Addresses of one scan. A /12; whoever means more has mistyped a prefix."""


def read_targets(words: Sequence[str], *, allowed: Sequence[Network] = (), opted_out: Sequence[Network] = ()) -> tuple[Address, ...]:
    """Addresses that the words name, each once, in their order, without those that opted out.

    A word is an address, a prefix (192.0.2.0/24), a host's name (all its addresses), or @FILE with such words, one a line.
    With `allowed`, everything must lie inside; one foreign address refuses the whole, since a mistyped prefix means that nothing in the list is sure.
    Raises ScanError.
    """
    found: dict[Address, None] = {}
    for word, where in _words(words):
        for address in _addresses(word, where, len(found)):
            _refuse_special(address, where)
            if allowed and not any(address.version == network.version and address in network for network in allowed):
                ours = ", ".join(map(str, allowed))
                raise ScanError(
                    Text(
                        f"{where}：{address} 不在允许扫描的网段（{ours}）内；没有发送任何探测包",
                        f"{where}: {address} lies outside the prefixes that may be scanned ({ours}); nothing was sent",
                    )
                )
            if not any(address.version == network.version and address in network for network in opted_out):
                found[address] = None
    if not found:
        raise ScanError(Text("没有可扫描的目标：列表为空，或都已声明不接受扫描", "there is nothing to scan: the list is empty, or all of it opted out"))
    return tuple(found)


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
        raise ScanError(Text(f"无法读取 {path}：{problem.strerror}", f"cannot read {path}: {problem.strerror}")) from None
    except UnicodeDecodeError:
        raise ScanError(Text(f"{path} 不是 UTF-8 文本", f"{path} is no UTF-8 text")) from None
    for number, line in enumerate(text.split("\n"), 1):
        word = line.partition("#")[0].strip()
        if word:
            yield word, f"{path}:{number}"


def _addresses(word: str, where: str, so_far: int) -> Iterable[Address]:
    try:
        return (ip_address(word),)
    except ValueError:
        pass
    if "/" in word:
        network = _network(word, where)
        if network.num_addresses + so_far > MOST:
            raise ScanError(
                Text(
                    f"{where}：{word} 有 {network.num_addresses} 个地址，一次最多 {MOST} 个；请写更小的网段",
                    f"{where}: {word} holds {network.num_addresses} addresses, and one scan takes at most {MOST}; write smaller prefixes",
                )
            )
        return network if network.num_addresses <= 2 else network.hosts()
    return _resolve(word, where)


def _network(word: str, where: str) -> Network:
    try:
        return ip_network(word, strict=True)
    except ValueError as problem:
        raise ScanError(
            Text(
                f"{where}：{word!r} 不是网段（例如 192.0.2.0/24，主机位须为零）：{problem}",
                f"{where}: {word!r} is no prefix (like 192.0.2.0/24, no host bits set): {problem}",
            )
        ) from None


def _resolve(name: str, where: str) -> tuple[Address, ...]:
    """All addresses of a name, looked up once: what is scanned is what was checked, whatever the name says a moment later."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise ScanError(
            Text(f"{where}：{name!r} 既不是地址也不是能解析的主机名：{reason}", f"{where}: {name!r} is neither an address nor a name that resolves: {reason}")
        ) from None
    return tuple(dict.fromkeys(ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers))


def _refuse_special(address: Address, where: str) -> None:
    if address.is_multicast or address.is_unspecified or (address.version == 4 and address == ip_address("255.255.255.255")):
        raise ScanError(
            Text(
                f"{where}：{address} 不是一台主机的地址（组播、广播或未指定）",
                f"{where}: {address} is no address of a host (multicast, broadcast or unspecified)",
            )
        )
