"""Services that tell or manage a machine's state: NTP, SNMP, memcached, LDAP, Kerberos, RPC, SQL Server, CoAP, RIP, NAT-PMP, XDMCP, TFTP."""

from __future__ import annotations

import re
import struct

from tutela.exposure.payloads.ber import ENUMERATED, INTEGER, NULL, OCTETS, OID, SEQUENCE, inside, integer, made, parts
from tutela.exposure.payloads.question import Answer, Question, words


def _ntp(token: bytes) -> bytes:
    """A client's question; the transmit timestamp, which comes back, is the token."""
    return b"\x23" + b"\x00" * 39 + token[:8]


def _read_ntp(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 48 or answer[0] & 7 != 4 or answer[24:32] != token[:8]:
        return None
    return Answer(f"version {answer[0] >> 3 & 7}, stratum {answer[1]}")


def _ntp_control(token: bytes) -> bytes:
    """Read the system's variables (mode 6): told to strangers, they name the system, and the answer is larger than the question."""
    return b"\x16\x02" + token[:2] + b"\x00" * 8


def _read_ntp_control(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 12 or answer[0] & 7 != 6 or answer[1] & 0xDF != 0x82 or answer[2:4] != token[:2]:
        return None
    if answer[1] & 0x40:
        return Answer("refused")
    told = answer[12 : 12 + int.from_bytes(answer[10:12], "big")]
    version = re.search(rb'version="([^"]{0,200})"', told)
    return Answer(words(version[1] if version else told), True)


def _ntp_private(token: bytes) -> bytes:
    """The list of those who asked lately (mode 7, MON_GETLIST_1), which has been misused for floods."""
    _ = token
    return b"\x17\x00\x03\x2a" + b"\x00" * 4


def _read_ntp_private(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if len(answer) < 8 or answer[0] & 0x87 != 0x87 or answer[2:4] != b"\x03\x2a":
        return None
    refused = answer[4] >> 4
    return Answer("refused") if refused else Answer("monlist", True)


_BEFORE_SYS_DESCR = made(OID, b"\x2b\x06\x01\x02\x01\x01\x01")
"""1.3.6.1.2.1.1.1: the first that follows is sysDescr.0 (RFC 3418)."""
_ROWS = 20


def _number(token: bytes) -> int:
    return int.from_bytes(token[:4], "big") & 0x7FFFFFFF


def _snmp(token: bytes) -> bytes:
    """What are you, and some rows that follow (GetBulk), which shows how much more it answers than it is asked. With the community that devices come with."""
    variable = made(SEQUENCE, _BEFORE_SYS_DESCR, made(NULL))
    return made(SEQUENCE, integer(1), made(OCTETS, b"public"), made(0xA5, integer(_number(token)), integer(0), integer(_ROWS), made(SEQUENCE, variable)))


def _read_snmp(token: bytes, answer: bytes) -> Answer | None:
    message = inside(answer, (0, SEQUENCE))
    response = inside(message, (2, 0xA2))
    if int.from_bytes(inside(response, (0, INTEGER)), "big") != _number(token):
        return None
    found = dict(parts(inside(response, (3, SEQUENCE), (0, SEQUENCE))))
    return Answer(words(found.get(OCTETS, b"") or b"v2c, community public"), True)


def _snmp3(token: bytes) -> bytes:
    """Who is your engine? An SNMPv3 agent reports its identity to everybody; nothing else is asked."""
    number = _number(token)
    header = made(SEQUENCE, integer(number), integer(65507), made(OCTETS, b"\x04"), integer(3))
    security = made(OCTETS, made(SEQUENCE, made(OCTETS), integer(0), integer(0), made(OCTETS), made(OCTETS), made(OCTETS)))
    scoped = made(SEQUENCE, made(OCTETS), made(OCTETS), made(0xA0, integer(number), integer(0), integer(0), made(SEQUENCE)))
    return made(SEQUENCE, integer(3), header, security, scoped)


def _read_snmp3(token: bytes, answer: bytes) -> Answer | None:
    message = inside(answer, (0, SEQUENCE))
    if inside(message, (0, INTEGER)) != b"\x03" or int.from_bytes(inside(message, (1, SEQUENCE), (0, INTEGER)), "big") != _number(token):
        return None
    engine = inside(message, (2, OCTETS), (0, SEQUENCE), (0, OCTETS))
    return Answer(f"v3, engine {engine[:32].hex()}") if engine else None


def _memcached(token: bytes) -> bytes:
    return token[:2] + struct.pack(">3H", 0, 1, 0) + b"stats\r\n"


def _read_memcached(token: bytes, answer: bytes) -> Answer | None:
    if answer[:2] != token[:2] or not answer[8:].startswith((b"STAT ", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")):
        return None
    version = re.search(rb"STAT version ([^\r\n]{0,80})", answer)
    return Answer(words(version[1]) if version else "", True if answer[8:].startswith(b"STAT") else None)


def _ldap(token: bytes) -> bytes:
    """The root of the directory, which every server shows to everybody (RFC 4512, section 5.1)."""
    search = made(
        0x63, made(OCTETS), made(ENUMERATED, b"\x00"), made(ENUMERATED, b"\x00"), integer(1), integer(1), b"\x01\x01\x00", made(0x87, b"objectClass"), made(SEQUENCE)
    )  # fmt: skip
    return made(SEQUENCE, integer(_number(token)), search)


def _read_ldap(token: bytes, answer: bytes) -> Answer | None:
    message = inside(answer, (0, SEQUENCE))
    place = list(parts(message))
    if int.from_bytes(inside(message, (0, INTEGER)), "big") != _number(token) or place[1][0] not in (0x64, 0x65):
        return None
    host = re.search(rb"dnsHostName1.\x04(.)", answer, re.DOTALL)
    return Answer(words(answer[host.end() : host.end() + host[1][0]]) if host else "")


def _kerberos(token: bytes) -> bytes:
    """A ticket for nobody: no client is named, so nobody's login is tried, and the server says what it misses."""
    realm = b"TUTELA.INVALID"

    def context(number: int, *inner: bytes) -> bytes:
        return made(0xA0 | number, *inner)

    server = made(SEQUENCE, context(0, integer(2)), context(1, made(SEQUENCE, made(0x1B, b"krbtgt"), made(0x1B, realm))))
    body = made(
        SEQUENCE,
        context(0, made(0x03, b"\x00\x00\x00\x00\x00")),
        context(2, made(0x1B, realm)),
        context(3, server),
        context(5, made(0x18, b"19700101000000Z")),
        context(7, integer(_number(token))),
        context(8, made(SEQUENCE, integer(18))),
    )
    return made(0x6A, made(SEQUENCE, context(1, integer(5)), context(2, integer(10)), context(4, body)))


def _read_kerberos(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    error = inside(answer, (0, 0x7E), (0, SEQUENCE))
    if inside(error, (0, 0xA0), (0, INTEGER)) != b"\x05" or inside(error, (1, 0xA1), (0, INTEGER)) != b"\x1e":
        return None
    realm = next((inside(content, (0, 0x1B)) for tag, content in parts(error) if tag == 0xA9), b"")
    return Answer(words(realm))


def _call(token: bytes, program: int, version: int, procedure: int) -> bytes:
    return token[:4] + struct.pack(">9I", 0, 2, program, version, procedure, 0, 0, 0, 0)


def _replied(token: bytes, answer: bytes) -> bool:
    return answer[:4] == token[:4] and answer[4:8] == b"\x00\x00\x00\x01" and len(answer) >= 20


def _portmap(token: bytes) -> bytes:
    return _call(token, 100000, 2, 4)


def _read_portmap(token: bytes, answer: bytes) -> Answer | None:
    if not _replied(token, answer):
        return None
    if answer[8:12] != b"\x00" * 4 or answer[20:24] != b"\x00" * 4:
        return Answer("refused")
    programs: dict[int, None] = {}
    at = 24
    while answer[at : at + 4] == b"\x00\x00\x00\x01" and len(programs) < 16:
        programs[int.from_bytes(answer[at + 4 : at + 8], "big")] = None
        at += 20
    return Answer(f"programs {' '.join(map(str, programs))}"[:120], True)


def _nfs(token: bytes) -> bytes:
    """Procedure 0 does nothing, in every version."""
    return _call(token, 100003, 3, 0)


def _read_nfs(token: bytes, answer: bytes) -> Answer | None:
    return Answer() if _replied(token, answer) else None


def _sql_server(token: bytes) -> bytes:
    _ = token
    return b"\x03"


def _read_sql_server(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if answer[:1] != b"\x05" or int.from_bytes(answer[1:3], "little") > len(answer) - 3:
        return None
    return Answer(words(answer[3:]))


def _coap(token: bytes) -> bytes:
    """GET /.well-known/core: what the device offers."""
    return b"\x44\x01" + token[:2] + token[2:6] + b"\xbb.well-known\x04core"


def _read_coap(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 4 or answer[0] >> 6 != 1:
        return None
    if answer[1] == 0:
        return Answer() if answer[0] >> 4 & 3 in (2, 3) and answer[2:4] == token[:2] else None
    kind, detail = answer[1] >> 5, answer[1] & 31
    if kind not in (2, 4, 5) or answer[4 : 4 + (answer[0] & 15)] != token[2:6]:
        return None
    told = answer.partition(b"\xff")[2]
    return Answer(words(told) if kind == 2 else f"{kind}.{detail:02}", True if kind == 2 else None)


def _rip(token: bytes) -> bytes:
    """The whole table of routes."""
    _ = token
    return b"\x01\x02\x00\x00" + b"\x00" * 16 + b"\x00\x00\x00\x10"


def _read_rip(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if answer[:1] != b"\x02" or answer[1] not in (1, 2) or (len(answer) - 4) % 20:
        return None
    return Answer(f"version {answer[1]}, {(len(answer) - 4) // 20} routes", True)


def _nat_pmp(token: bytes) -> bytes:
    """Your outer address? Who answers this would also map ports, for anybody."""
    _ = token
    return b"\x00\x00"


def _read_nat_pmp(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if len(answer) not in (8, 12) or answer[:2] != b"\x00\x80":
        return None
    done = len(answer) == 12 and answer[2:4] == b"\x00\x00"
    return Answer(".".join(map(str, answer[8:12])) if done else "refused", True if done else None)


def _xdmcp(token: bytes) -> bytes:
    _ = token
    return struct.pack(">3HB", 1, 2, 1, 0)


def _read_xdmcp(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    version, opcode, size = struct.unpack_from(">3H", answer)
    if version != 1 or opcode not in (5, 6) or size != len(answer) - 6:
        return None
    return Answer("willing" if opcode == 5 else "unwilling", True if opcode == 5 else None)


def _tftp(token: bytes) -> bytes:
    """A file that is nowhere."""
    return b"\x00\x01tutela-" + token[:4].hex().encode() + b"\x00octet\x00"


def _read_tftp(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    opcode = int.from_bytes(answer[:2], "big")
    if len(answer) < 4 or opcode not in (3, 5, 6) or (opcode == 5 and not answer.endswith(b"\x00")):
        return None
    return Answer(words(answer[4:-1]) if opcode == 5 else "")


MANAGING = (
    Question("ntp", (123,), "RFC 5905, section 7.3", _ntp, _read_ntp),
    Question("ntp-control", (123,), "RFC 9327, section 2", _ntp_control, _read_ntp_control),
    Question("ntp-private", (123,), "NTP 4.2.6, ntp_request.h; CVE-2013-5211", _ntp_private, _read_ntp_private),
    Question("snmp", (161,), "RFC 3416, sections 3 and 4.2.3; RFC 1901", _snmp, _read_snmp),
    Question("snmp", (161,), "RFC 3412, section 6; RFC 3414, section 4", _snmp3, _read_snmp3),
    Question("memcached", (11211,), "memcached, doc/protocol.txt, UDP protocol", _memcached, _read_memcached),
    Question("ldap", (389,), "RFC 4511, section 4.5; [MS-ADTS], section 6.3.3 (CLDAP)", _ldap, _read_ldap),
    Question("kerberos", (88,), "RFC 4120, sections 5.4.1 and 5.9.1", _kerberos, _read_kerberos),
    Question("rpcbind", (111,), "RFC 1833, section 3; RFC 5531, section 9", _portmap, _read_portmap),
    Question("nfs", (2049,), "RFC 1813, section 3.3.0", _nfs, _read_nfs),
    Question("ms-sql-browser", (1434,), "[MC-SQLR], sections 2.2.2 and 2.2.5", _sql_server, _read_sql_server),
    Question("coap", (5683,), "RFC 7252, section 3; RFC 6690, section 4", _coap, _read_coap),
    Question("rip", (520,), "RFC 2453, section 3.9.1", _rip, _read_rip),
    Question("nat-pmp", (5351,), "RFC 6886, section 3.2", _nat_pmp, _read_nat_pmp),
    Question("xdmcp", (177,), "X Display Manager Control Protocol 1.1, section 6", _xdmcp, _read_xdmcp),
    Question("tftp", (69,), "RFC 1350, section 5", _tftp, _read_tftp, any_port=True),
)
