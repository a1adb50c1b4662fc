"""What services answer, written from their specifications: a datagram asked → datagrams answered. None: silence.

`python -m tests.exposure.answers` serves them all, each on its ports; the names on standard input choose, and the ports served are printed.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import sys
from collections.abc import Callable

from tutela.exposure.payloads import QUESTIONS
from tutela.exposure.payloads.ber import INTEGER, OCTETS, OID, SEQUENCE, inside, integer, made

Answering = Callable[[bytes], bytes | list[bytes] | None]


def dns(asked: bytes) -> bytes:
    record = b"\x00" + struct.pack(">HHIH", 2, 1, 518400, 20) + b"\x01a\x0croot-servers\x03net\x00"
    return asked[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + asked[12:] + record


def dns_refusing(asked: bytes) -> bytes:
    return asked[:2] + struct.pack(">5H", 0x8105, 1, 0, 0, 0) + asked[12:]


def mdns(asked: bytes) -> bytes:
    return asked[:2] + struct.pack(">5H", 0x8400, 1, 2, 0, 0) + asked[12:] + b"\xc0\x0c" + struct.pack(">HHIH", 12, 1, 10, 2) + b"\xc0\x0c"


def netbios(asked: bytes) -> bytes:
    names = b"".join(name.ljust(15).encode() + bytes((kind, 4, 0)) for name, kind in (("FILES", 0), ("OFFICE", 0), ("FILES", 32)))
    rdata = b"\x03" + names + b"\x00" * 46
    return asked[:2] + struct.pack(">5H", 0x8400, 0, 1, 0, 0) + asked[12:46] + struct.pack(">HHIH", 0x21, 1, 0, len(rdata)) + rdata


def ssdp(asked: bytes) -> list[bytes]:
    assert asked.startswith(b"M-SEARCH * HTTP/1.1\r\n")
    one = b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nServer: Linux/5.4 UPnP/1.1 MiniUPnPd/2.3\r\n\r\n"
    return [one] * 3


def ws_discovery(asked: bytes) -> bytes:
    mark = asked.partition(b"urn:uuid:")[2][:36]
    return (
        b"<e:Envelope><w:RelatesTo>urn:uuid:"
        + mark
        + b"</w:RelatesTo><d:ProbeMatches><d:Types>dn:NetworkVideoTransmitter</d:Types></d:ProbeMatches></e:Envelope>"
    )


def slp(asked: bytes) -> bytes:
    told = b"service:VMwareInfrastructure,service:wbem:https"
    body = b"\x00\x00" + struct.pack(">H", len(told)) + told
    return b"\x02\x0a" + (16 + len(body)).to_bytes(3, "big") + b"\x00" * 5 + asked[10:12] + b"\x00\x02en" + body


def ntp(asked: bytes) -> bytes | None:
    return b"\x24\x02\x06\xe8" + b"\x00" * 20 + asked[40:48] + b"\xea" * 16 if asked[0] & 7 == 3 else None


def ntp_control(asked: bytes) -> bytes | None:
    told = b'version="ntpd 4.2.6p5@1.2349-o", processor="x86_64", system="Linux/3.10.0", leap=0, stratum=2, precision=-23, rootdelay=0.3'
    return b"\x16\x82" + asked[2:4] + b"\x06\x15\x00\x00\x00\x00" + struct.pack(">H", len(told)) + told if asked[0] & 7 == 6 else None


def ntp_private(asked: bytes) -> list[bytes] | None:
    return [b"\xd7" + bytes((number,)) + b"\x03\x2a" + b"\x00\x06\x00\x48" + b"\x07" * 432 for number in range(10)] if asked[0] & 7 == 7 else None


def snmp(asked: bytes) -> bytes | None:
    message = inside(asked, (0, SEQUENCE))
    if inside(message, (0, INTEGER)) == b"\x03":
        number = integer(int.from_bytes(inside(message, (1, SEQUENCE), (0, INTEGER)), "big"))
        security = made(OCTETS, made(SEQUENCE, made(OCTETS, b"\x80\x00\x1f\x88\x01"), integer(3), integer(77), made(OCTETS), made(OCTETS), made(OCTETS)))
        return made(SEQUENCE, integer(3), made(SEQUENCE, number, integer(1472), made(OCTETS, b"\x00"), integer(3)), security, made(SEQUENCE))
    number = integer(int.from_bytes(inside(message, (2, 0xA5), (0, INTEGER)), "big"))
    variable = made(SEQUENCE, made(OID, b"\x2b\x06\x01\x02\x01\x01\x01\x00"), made(OCTETS, b"Switch 24\r\n\x1b[2Jfirmware 1.02"))
    return made(SEQUENCE, integer(1), made(OCTETS, b"public"), made(0xA2, number, integer(0), integer(0), made(SEQUENCE, variable)))


def memcached(asked: bytes) -> list[bytes]:
    told = b"STAT pid 1\r\nSTAT version 1.6.18\r\n" + b"".join(b"STAT key%d %d\r\n" % (number, number) for number in range(60)) + b"END\r\n"
    pieces = [told[at : at + 400] for at in range(0, len(told), 400)]
    return [asked[:2] + struct.pack(">3H", number, len(pieces), 0) + piece for number, piece in enumerate(pieces)]


def ldap(asked: bytes) -> bytes:
    number = integer(int.from_bytes(inside(asked, (0, SEQUENCE), (0, INTEGER)), "big"))
    attribute = made(SEQUENCE, made(OCTETS, b"dnsHostName"), made(0x31, made(OCTETS, b"dc1.example.net")))
    return made(SEQUENCE, number, made(0x64, made(OCTETS), made(SEQUENCE, attribute))) + made(SEQUENCE, number, made(0x65, b"\x0a\x01\x00\x04\x00\x04\x00"))


def kerberos(asked: bytes) -> bytes:
    assert asked[0] == 0x6A
    return made(
        0x7E,
        made(
            SEQUENCE, made(0xA0, integer(5)), made(0xA1, integer(30)), made(0xA4, made(0x18, b"20260101000000Z")), made(0xA5, integer(1)),
            made(0xA6, integer(68)), made(0xA9, made(0x1B, b"EXAMPLE.NET")), made(0xAA, made(SEQUENCE)),
        ),
    )  # fmt: skip


def rpcbind(asked: bytes) -> bytes:
    entries = b"".join(struct.pack(">5I", 1, program, 2, 17, port) for program, port in ((100000, 111), (100005, 20048), (100003, 2049)))
    return asked[:4] + struct.pack(">5I", 1, 0, 0, 0, 0) + entries + b"\x00" * 4


def nfs(asked: bytes) -> bytes:
    return asked[:4] + struct.pack(">5I", 1, 0, 0, 0, 0)


def ms_sql_browser(asked: bytes) -> bytes:
    assert asked == b"\x03"
    told = b"ServerName;DB1;InstanceName;MSSQLSERVER;IsClustered;No;Version;15.0.2000.5;tcp;1433;;"
    return b"\x05" + struct.pack("<H", len(told)) + told


def coap(asked: bytes) -> bytes:
    return b"\x64\x45" + asked[2:8] + b"\xc1\x28\xff</sensors>;ct=40"


def rip(asked: bytes) -> bytes:
    assert asked[:2] == b"\x01\x02"
    return b"\x02\x02\x00\x00" + struct.pack(">HHIIII", 2, 0, 0xC0000200, 0xFFFFFF00, 0, 1) * 4


def nat_pmp(asked: bytes) -> bytes:
    assert asked == b"\x00\x00"
    return b"\x00\x80\x00\x00" + struct.pack(">I", 5) + bytes((203, 0, 113, 9))


def xdmcp(asked: bytes) -> bytes:
    assert asked == b"\x00\x01\x00\x02\x00\x01\x00"
    body = struct.pack(">H", 0) + struct.pack(">H", 3) + b"lab" + struct.pack(">H", 2) + b"ok"
    return struct.pack(">3H", 1, 5, len(body)) + body


def tftp(asked: bytes) -> bytes:
    assert asked[:2] == b"\x00\x01"
    return b"\x00\x05\x00\x01File not found\x00"


def quic(asked: bytes) -> bytes | None:
    if asked[0] & 0xC0 != 0xC0 or len(asked) < 1200:
        return None
    return b"\x80" + b"\x00" * 4 + b"\x08" + asked[15:23] + b"\x08" + asked[6:14] + struct.pack(">3I", 1, 0x6B3343CF, 0x1A2A3A4A)


def dtls(asked: bytes) -> bytes | None:
    if asked[:3] != b"\x16\xfe\xff":
        return None
    body = b"\xfe\xff\x14" + b"c" * 20
    message = b"\x03" + len(body).to_bytes(3, "big") + b"\x00" * 5 + len(body).to_bytes(3, "big") + body
    return b"\x16\xfe\xff" + b"\x00" * 8 + struct.pack(">H", len(message)) + message


def ike(asked: bytes) -> bytes:
    marker, asked = (asked[:4], asked[4:]) if asked[:4] == b"\x00" * 4 else (b"", asked)
    assert (asked[17], asked[18], struct.unpack_from(">I", asked, 24)[0]) == (0x20, 34, len(asked))
    return marker + asked[:8] + b"\x00" * 8 + struct.pack(">BBBBII", 41, 0x20, 34, 0x20, 0, 36) + struct.pack(">BBHBBH", 0, 0, 8, 0, 0, 14)


def openvpn(asked: bytes) -> bytes:
    assert asked[0] == 0x38
    return b"\x40" + b"serversn" + b"\x01" + b"\x00" * 4 + asked[1:9] + b"\x00" * 4


def l2tp(asked: bytes) -> bytes:
    at, tunnel = 12, b""
    while at < len(asked):
        size, kind = struct.unpack_from(">H2xH", asked, at)
        tunnel = asked[at + 6 : at + (size & 0x3FF)] if kind == 9 else tunnel
        at += size & 0x3FF
    name = b"\x80\x0c\x00\x00\x00\x07router"
    return struct.pack(">HH", 0xC802, 12 + len(name)) + tunnel + b"\x00" * 6 + name


def rdp_udp(asked: bytes) -> bytes:
    assert struct.unpack_from(">IHH", asked) == (0xFFFFFFFF, 64, 1)
    return (asked[8:12] + struct.pack(">HH", 64, 5) + b"\x11\x22\x33\x44" + struct.pack(">HH", 1232, 1232)).ljust(1232, b"\x00")


def stun(asked: bytes) -> bytes:
    body = struct.pack(">HH", 0x8022, 7) + b"coturn4\x00" + struct.pack(">HHBBHI", 0x0020, 8, 0, 1, 0, 0)
    return b"\x01\x01" + struct.pack(">H", len(body)) + asked[4:20] + body


def sip(asked: bytes) -> bytes:
    headers = [line for line in asked.split(b"\r\n") if line.partition(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 200 OK", *headers, b"Server: Asterisk PBX 20.6.0", b"Content-Length: 0", b"", b""])


def iax2(asked: bytes) -> bytes:
    return struct.pack(">HH", 0x8001, struct.unpack_from(">H", asked)[0] & 0x7FFF) + b"\x00" * 4 + b"\x00\x01\x06\x03"


def source_engine(asked: bytes) -> bytes:
    assert asked == b"\xff\xff\xff\xffTSource Engine Query\x00"
    return b"\xff\xff\xff\xffI\x11My server\x00de_dust2\x00"


def echo(asked: bytes) -> bytes:
    return asked


SERVED: dict[str, tuple[Answering, ...]] = {
    "dns": (dns,), "mdns": (mdns,), "netbios-ns": (netbios,), "ssdp": (ssdp,), "ws-discovery": (ws_discovery,), "slp": (slp,),
    "ntp": (ntp,), "ntp-control": (ntp_control,), "ntp-private": (ntp_private,), "snmp": (snmp,), "memcached": (memcached,), "ldap": (ldap,),
    "kerberos": (kerberos,), "rpcbind": (rpcbind,), "nfs": (nfs,), "ms-sql-browser": (ms_sql_browser,), "coap": (coap,), "rip": (rip,),
    "nat-pmp": (nat_pmp,), "xdmcp": (xdmcp,), "tftp": (tftp,), "quic": (quic,), "dtls": (dtls,), "ike": (ike,), "openvpn": (openvpn,), "l2tp": (l2tp,),
    "rdp-udp": (rdp_udp,), "stun": (stun,), "sip": (sip,), "iax2": (iax2,), "source-engine": (source_engine,), "echo": (echo,),
    "daytime": (lambda _: b"Sunday, November 22, 2026 08:00:00-UTC\r\n",), "qotd": (lambda _: b"Brevity is the soul of wit.\r\n",),
    "chargen": (lambda _: bytes(range(33, 105)) + b"\r\n",), "time": (lambda _: b"\xee\xca\x8a\x00",),
}  # fmt: skip


def main() -> None:
    """Serve; a service that answers from another port does so."""
    names = json.load(sys.stdin)
    by_port: dict[int, list[Answering]] = {}
    elsewhere: set[int] = set()
    for question in QUESTIONS:
        if question.name in names:
            for port in question.ports:
                by_port.setdefault(port, []).extend(SERVED[question.name])
                if question.any_port:
                    elsewhere.add(port)
    poll, held = select.epoll(), {}
    for port in by_port:
        one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", port))
        poll.register(one.fileno(), select.EPOLLIN)
        held[one.fileno()] = (one, port)
    print(json.dumps(sorted(by_port)), flush=True)
    while True:
        for number, _ in poll.poll():
            one, port = held[number]
            asked, peer = one.recvfrom(65535)
            out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) if port in elsewhere else one
            for answering in dict.fromkeys(by_port[port]):
                try:
                    answer = answering(asked)
                except (AssertionError, ValueError, IndexError, struct.error):
                    continue
                for piece in answer if isinstance(answer, list) else [] if answer is None else [answer]:
                    # What the target's own rules lose is an error to its sender.
                    with contextlib.suppress(PermissionError):
                        out.sendto(piece, peer)


if __name__ == "__main__":
    main()
