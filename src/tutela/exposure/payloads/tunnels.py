"""Services that carry others, and telephony: QUIC, DTLS, IKE, OpenVPN, L2TP, RDP, STUN, SIP, IAX2, and games."""

from __future__ import annotations

import re
import struct

from tutela.exposure.payloads.question import Answer, Question, words


def _quic(token: bytes) -> bytes:
    """A version that nobody has (RFC 9000, section 15): the server lists those it has, and keeps no state."""
    return (b"\xc0\x0a\x1a\x2a\x3a\x08" + token[:8] + b"\x08" + token[8:]).ljust(1200, b"\x00")


def _read_quic(token: bytes, answer: bytes) -> Answer | None:
    if not answer[0] & 0x80 or answer[1:5] != b"\x00" * 4 or answer[5:23] != b"\x08" + token[8:] + b"\x08" + token[:8]:
        return None
    versions = [int.from_bytes(answer[at : at + 4], "big") for at in range(23, min(len(answer) - 3, 23 + 40), 4)]
    known = {1: "v1", 0x6B3343CF: "v2"}
    return Answer(" ".join(known.get(version, f"{version:08x}") for version in versions if version & 0x0F0F0F0F != 0x0A0A0A0A))


def _dtls(token: bytes) -> bytes:
    """ClientHello of DTLS 1.2; the server asks for a cookie before it keeps any state."""
    suites = struct.pack(">6H", 0xC02B, 0xC02F, 0xC02C, 0xC030, 0x009C, 0x002F)
    extensions = struct.pack(">2H3H", 10, 6, 4, 0x001D, 0x0017) + struct.pack(">2HBB", 11, 2, 1, 0) + struct.pack(">2H4H", 13, 8, 6, 0x0403, 0x0804, 0x0401)
    body = (
        b"\xfe\xfd" + token * 2 + b"\x00\x00" + struct.pack(">H", len(suites)) + suites + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    )  # fmt: skip
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + b"\x00\x00" + b"\x00\x00\x00" + size + body
    return b"\x16\xfe\xff" + b"\x00" * 8 + struct.pack(">H", len(message)) + message


def _read_dtls(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if len(answer) < 14 or answer[0] not in (21, 22) or answer[1:3] not in (b"\xfe\xff", b"\xfe\xfd"):
        return None
    return Answer("alert") if answer[0] == 21 else Answer() if answer[13] in (2, 3) else None


def _ike(token: bytes) -> bytes:
    """IKE_SA_INIT with common algorithms; the responder agrees or names what it misses, and forgets us soon."""

    def transform(kind: int, number: int, more: int, attribute: bytes = b"") -> bytes:
        return struct.pack(">BBHBBH", more, 0, 8 + len(attribute), kind, 0, number) + attribute

    transforms = transform(1, 12, 3, b"\x80\x0e\x01\x00") + transform(2, 5, 3) + transform(3, 12, 3) + transform(4, 14, 0)
    proposal = struct.pack(">BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 4) + transforms
    association = struct.pack(">BBH", 34, 0, 4 + len(proposal)) + proposal
    exchange = struct.pack(">BBHHH", 40, 0, 8 + 256, 14, 0) + token * 16
    nonce = struct.pack(">BBH", 0, 0, 4 + 32) + token * 2
    size = 28 + len(association) + len(exchange) + len(nonce)
    return token[:8] + b"\x00" * 8 + struct.pack(">BBBBII", 33, 0x20, 34, 0x08, 0, size) + association + exchange + nonce


_NOTIFIES = {5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 16390: "COOKIE"}


def _read_ike(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 28 or answer[:8] != token[:8] or answer[17] >> 4 not in (1, 2) or (answer[17] >> 4 == 2 and not answer[19] & 0x20):
        return None
    said = f"v{answer[17] >> 4}"
    if answer[16] == 41 and len(answer) >= 36:
        kind = int.from_bytes(answer[34:36], "big")
        said += f" {_NOTIFIES.get(kind, kind)}"
    return Answer(said)


def _ike_nat(token: bytes) -> bytes:
    return b"\x00" * 4 + _ike(token)


def _read_ike_nat(token: bytes, answer: bytes) -> Answer | None:
    return _read_ike(token, answer[4:]) if answer[:4] == b"\x00" * 4 else None


def _openvpn(token: bytes) -> bytes:
    return b"\x38" + token[:8] + b"\x00" + b"\x00" * 4


def _read_openvpn(token: bytes, answer: bytes) -> Answer | None:
    # P_CONTROL_HARD_RESET_SERVER_V2, or a mere P_ACK_V1, that acknowledges our session.
    return Answer() if answer[0] >> 3 in (5, 8) and token[:8] in answer[9:] else None


def _l2tp(token: bytes) -> bytes:
    """Start-Control-Connection-Request; our tunnel number is the token."""

    def pair(kind: int, value: bytes) -> bytes:
        return struct.pack(">3H", 0x8000 | 6 + len(value), 0, kind) + value

    tunnel = _tunnel(token)
    pairs = pair(0, b"\x00\x01") + pair(2, b"\x01\x00") + pair(7, b"tutela") + pair(3, b"\x00\x00\x00\x03") + pair(9, tunnel)
    return struct.pack(">6H", 0xC802, 12 + len(pairs), 0, 0, 0, 0) + pairs


def _tunnel(token: bytes) -> bytes:
    return (int.from_bytes(token[:2], "big") | 1).to_bytes(2, "big")


def _read_l2tp(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 12 or answer[0] & 0xC8 != 0xC8 or answer[1] & 15 != 2 or answer[4:6] != _tunnel(token):
        return None
    name = re.search(rb"\x80(.)\x00\x00\x00\x07", answer, re.DOTALL)
    return Answer(words(answer[name.end() : name.start() + name[1][0]]) if name else "")


def _rdp(token: bytes) -> bytes:
    return (struct.pack(">IHH", 0xFFFFFFFF, 64, 0x0001) + token[:4] + struct.pack(">2H", 1232, 1232)).ljust(1232, b"\x00")


def _read_rdp(token: bytes, answer: bytes) -> Answer | None:
    return Answer() if len(answer) >= 16 and answer[:4] == token[:4] and int.from_bytes(answer[6:8], "big") & 5 == 5 else None


_COOKIE = b"\x21\x12\xa4\x42"


def _stun(token: bytes) -> bytes:
    return b"\x00\x01\x00\x00" + _COOKIE + token[:12]


def _read_stun(token: bytes, answer: bytes) -> Answer | None:
    if len(answer) < 20 or answer[:2] not in (b"\x01\x01", b"\x01\x11") or answer[4:20] != _COOKIE + token[:12]:
        return None
    at = 20
    while at + 4 <= len(answer):
        kind, size = struct.unpack_from(">2H", answer, at)
        if kind == 0x8022:
            return Answer(words(answer[at + 4 : at + 4 + size]))
        at += 4 + (size + 3 & ~3)
    return Answer()


def _sip(token: bytes) -> bytes:
    mark = token.hex()
    return (
        "OPTIONS sip:tutela.invalid SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP tutela.invalid;branch=z9hG4bK{mark};rport\r\n"
        f"From: <sip:scan@tutela.invalid>;tag={mark[:8]}\r\nTo: <sip:tutela.invalid>\r\n"
        f"Call-ID: {mark}\r\nCSeq: 1 OPTIONS\r\nContact: <sip:scan@tutela.invalid>\r\nMax-Forwards: 1\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def _read_sip(token: bytes, answer: bytes) -> Answer | None:
    if not answer.startswith(b"SIP/2.0 ") or token.hex().encode() not in answer:
        return None
    product = re.search(rb"\r\n(?:server|user-agent):([^\r\n]{0,400})", answer, re.IGNORECASE)
    return Answer(words(product[1]) if product else words(answer[8:60].partition(b"\r\n")[0]))


def _iax(token: bytes) -> bytes:
    """POKE: are you there?"""
    return struct.pack(">2H", 0x8000 | _caller(token), 0) + b"\x00" * 4 + b"\x00\x00\x06\x1e"


def _caller(token: bytes) -> int:
    return int.from_bytes(token[:2], "big") & 0x7FFF | 1


def _read_iax(token: bytes, answer: bytes) -> Answer | None:
    caller = int.from_bytes(answer[2:4], "big") & 0x7FFF
    return Answer() if len(answer) >= 12 and answer[0] & 0x80 and caller == _caller(token) and answer[10:11] == b"\x06" else None


def _source_engine(token: bytes) -> bytes:
    _ = token
    return b"\xff\xff\xff\xffTSource Engine Query\x00"


def _read_source_engine(token: bytes, answer: bytes) -> Answer | None:
    _ = token
    if answer[:5] == b"\xff\xff\xff\xffA" and len(answer) == 9:
        return Answer()
    return Answer(words(answer[6:].partition(b"\x00")[0])) if answer[:5] == b"\xff\xff\xff\xffI" else None


TUNNELS = (
    Question("quic", (443, 853, 8443), "RFC 9000, sections 6 and 17.2.1; RFC 8999", _quic, _read_quic),
    Question("dtls", (443, 3391, 4433, 5349, 5684), "RFC 6347, section 4", _dtls, _read_dtls),
    Question("ike", (500,), "RFC 7296, sections 1.2 and 3", _ike, _read_ike),
    Question("ike", (4500,), "RFC 3948, section 2.2; RFC 7296, section 3", _ike_nat, _read_ike_nat),
    Question("openvpn", (1194,), "OpenVPN wire protocol, draft, section 3", _openvpn, _read_openvpn),
    Question("l2tp", (1701,), "RFC 2661, sections 3.1 and 6.1", _l2tp, _read_l2tp),
    Question("rdp-udp", (3389,), "[MS-RDPEUDP], sections 2.2.2.1 and 2.2.2.5", _rdp, _read_rdp),
    Question("stun", (3478,), "RFC 8489, sections 5 and 14.14", _stun, _read_stun),
    Question("sip", (5060,), "RFC 3261, section 11; RFC 3581", _sip, _read_sip),
    Question("iax2", (4569,), "RFC 5456, section 6.7", _iax, _read_iax),
    Question("source-engine", (27015,), "Valve Developer Community, Server queries, A2S_INFO", _source_engine, _read_source_engine),
)
