"""As much of BER (X.690) as a question and its answer need: SNMP, LDAP, Kerberos."""

from __future__ import annotations

from collections.abc import Iterator

INTEGER, OCTETS, NULL, OID, ENUMERATED, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x0A, 0x30
MOST_PARTS = 256


def made(tag: int, *parts: bytes) -> bytes:
    """Tag, length and content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return made(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element that is whole. Raises ValueError where the bytes are no BER."""
    at = 0
    for _ in range(MOST_PARTS):
        if at >= len(content):
            return
        tag, size, at = content[at], content[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise ValueError
            size, at = int.from_bytes(content[at : at + count], "big"), at + count
        if at + size > len(content):
            raise ValueError
        yield tag, content[at : at + size]
        at += size


def inside(content: bytes, *path: tuple[int, int]) -> bytes:
    """The content of the element at a path of (place, tag). Raises ValueError where it is not there."""
    for place, tag in path:
        found = list(parts(content))
        if place >= len(found) or found[place][0] != tag:
            raise ValueError
        content = found[place][1]
    return content
