"""LDAP: the root DSE, which anybody may read, and then whether the directory itself is read without a bind (RFC 4511, RFC 4512 section 5.1)."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

_ENTRY, _DONE = 0x64, 0x65
_SUCCESS, _OPERATIONS_ERROR, _STRONGER, _INAPPROPRIATE, _ACCESS = 0, 1, 8, 48, 50


def _element(tag: int, body: bytes) -> bytes:
    length = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes((tag,)) + length + body


def search(number: int, base: bytes, attributes: tuple[bytes, ...]) -> bytes:
    """The object itself, whatever it is."""
    request = (
        _element(4, base) + _element(10, b"\0") + _element(10, b"\0") + _element(2, b"\1") + _element(2, b"\5") + _element(1, b"\0")
        + _element(0x87, b"objectClass") + _element(0x30, b"".join(_element(4, one) for one in attributes))
    )  # fmt: skip
    return _element(0x30, _element(2, bytes((number,))) + _element(0x63, request))


def elements(raw: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each BER element in a row, as far as they are whole."""
    found = []
    at = 0
    while at + 2 <= len(raw):
        tag, length, at = raw[at], raw[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or at + count > len(raw):
                break
            length, at = int.from_bytes(raw[at : at + count], "big"), at + count
        if at + length > len(raw):
            break
        found.append((tag, raw[at : at + length]))
        at += length
    return found


def _answers(raw: bytes) -> list[tuple[int, bytes]]:
    """Operation and content of each message."""
    inside = [elements(body) for tag, body in elements(raw) if tag == 0x30]
    return [parts[1] for parts in inside if len(parts) >= 2 and parts[0][0] == 2]


def _complete(raw: bytes) -> bool:
    return any(tag == _DONE for tag, _ in _answers(raw)) or (bool(raw) and raw[0] != 0x30)


def _attributes(entry: bytes) -> dict[bytes, bytes]:
    parts = elements(entry)
    found = {}
    for _, one in elements(parts[1][1]) if len(parts) > 1 else []:
        pair = elements(one)
        values = elements(pair[1][1]) if len(pair) > 1 else []
        if values:
            found[pair[0][1].lower()] = values[0][1]
    return found


def _result(answers: list[tuple[int, bytes]]) -> int | None:
    for tag, body in answers:
        parts = elements(body)
        if tag == _DONE and parts and parts[0][0] == 10:
            return int.from_bytes(parts[0][1][:4], "big")
    return None


def talk(address: str, port: int) -> Talk:
    """Is the directory for anybody?"""
    _ = (address, port)
    root = _answers((yield Ask(search(1, b"", (b"namingContexts", b"vendorName", b"vendorVersion", b"dnsHostName")), _complete)))
    code = _result(root)
    if code is None:
        return None
    about = next((_attributes(body) for tag, body in root if tag == _ENTRY), {})
    said = words(b" ".join(about[name] for name in (b"vendorname", b"vendorversion", b"dnshostname") if name in about))
    base = about.get(b"namingcontexts", b"")[:500]
    if not base:
        return Finding("ldap", said, without_authentication=False if code in (_STRONGER, _INAPPROPRIATE, _ACCESS) else None)
    below = _answers((yield Ask(search(2, base, (b"1.1",)), _complete)))
    code = _result(below)
    free = (
        True
        if code == _SUCCESS and any(tag == _ENTRY for tag, _ in below)
        else False
        if code in (_OPERATIONS_ERROR, _STRONGER, _INAPPROPRIATE, _ACCESS, 32)
        else None
    )
    return Finding("ldap", said or words(base), without_authentication=free)
