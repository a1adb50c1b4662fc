"""Services that find names and other services: DNS, mDNS, NetBIOS, SSDP, WS-Discovery, SLP."""

from __future__ import annotations

import re
import struct
import uuid

from tutela.exposure.payloads.question import Answer, Question, words

_REFUSED = 5
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", _REFUSED: "REFUSED"}


def _dns(token: bytes) -> bytes:
    """Name servers of the root, please recurse: the most ordinary question there is, and it names nobody."""
    return token[:2] + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + b"\x00" + struct.pack(">2H", 2, 1)


def _read_dns(token: bytes, answer: bytes) -> Answer | None:
    number, flags, _, answers = struct.unpack_from(">4H", answer)
    if number != int.from_bytes(token[:2], "big") or not flags & 0x8000 or len(answer) < 12:
        return None
    recursive = bool(flags & 0x0080) and flags & 0x0F == 0 and answers > 0
    rcode = flags & 0x0F
    return Answer("recursion available" if recursive else _RCODES.get(rcode, f"RCODE {rcode}"), True if recursive else None)


def _mdns(token: bytes) -> bytes:
    name = b"".join(bytes((len(label),)) + label for label in (b"_services", b"_dns-sd", b"_udp", b"local")) + b"\x00"
    return token[:2] + struct.pack(">5H", 0, 1, 0, 0, 0) + name + struct.pack(">2H", 12, 1)


def _read_mdns(token: bytes, answer: bytes) -> Answer | None:
    flags, count = struct.unpack_from(">H2xH", answer, 2)
    return Answer(f"{count} services") if answer[:2] == token[:2] and flags & 0x8000 else None


_NETBIOS_ANY = b"\x20" + b"CK" + b"A" * 30 + b"\x00"
"""The name `*`, each half byte as a letter."""


def _netbios(token: bytes) -> bytes:
    return token[:2] + struct.pack(">5H", 0, 1, 0, 0, 0) + _NETBIOS_ANY + struct.pack(">2H", 0x21, 1)


def _read_netbios(token: bytes, answer: bytes) -> Answer | None:
    flags, kind = struct.unpack_from(">2xH42xH", answer)
    if answer[:2] != token[:2] or not flags & 0x8000 or kind != 0x21:
        return None
    count, at = answer[56], 57
    names = (answer[at + 18 * place : at + 18 * place + 15] for place in range(min(count, 16)))
    return Answer(words(b" ".join(dict.fromkeys(name.rstrip() for name in names))))


def _ssdp(token: bytes) -> bytes:
    _ = token
    return b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n'


def _read_ssdp(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if not answer.startswith(b"HTTP/1.1 200"):
        return None
    server = re.search(rb"\r\nserver:([^\r\n]{0,400})", answer, re.IGNORECASE)
    return Answer(words(server[1]) if server else "")


def _discovery(token: bytes) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
        ' xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><e:Header>'
        f"<w:MessageID>urn:uuid:{uuid.UUID(bytes=token)}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
        "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header><e:Body><d:Probe/></e:Body></e:Envelope>"
    ).encode()


def _read_discovery(token: bytes, answer: bytes) -> Answer | None:
    if str(uuid.UUID(bytes=token)).encode() not in answer or b"ProbeMatches" not in answer:
        return None
    types = re.search(rb"<[^<>]{0,20}Types[^<>]{0,200}>([^<>]{0,400})<", answer)
    return Answer(words(types[1]) if types else "")


def _slp(token: bytes) -> bytes:
    """Which types of service are there, of all naming authorities?"""
    body = struct.pack(">2H", 0, 0xFFFF) + struct.pack(">H", 7) + b"DEFAULT"
    head = b"\x02\x09" + (14 + 2 + len(body)).to_bytes(3, "big") + b"\x00\x00" + b"\x00\x00\x00" + token[:2] + struct.pack(">H", 2) + b"en"
    return head + body


def _read_slp(token: bytes, answer: bytes) -> Answer | None:
    if answer[:2] != b"\x02\x0a" or answer[10:12] != token[:2]:
        return None
    at = 14 + int.from_bytes(answer[12:14], "big")
    size = int.from_bytes(answer[at + 2 : at + 4], "big")
    return Answer(words(answer[at + 4 : at + 4 + size]))


NAMING = (
    Question("dns", (53,), "RFC 1035, section 4.1", _dns, _read_dns),
    Question("mdns", (5353,), "RFC 6762, section 6.7; RFC 6763, section 9", _mdns, _read_mdns),
    Question("netbios-ns", (137,), "RFC 1002, section 4.2.17", _netbios, _read_netbios),
    Question("ssdp", (1900,), "UPnP Device Architecture 2.0, section 1.3", _ssdp, _read_ssdp, any_port=True),
    Question("ws-discovery", (3702,), "WS-Discovery (April 2005), section 5", _discovery, _read_discovery, any_port=True),
    Question("slp", (427,), "RFC 2608, sections 8 and 10.1", _slp, _read_slp),
)
