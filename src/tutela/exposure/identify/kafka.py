"""Kafka: ApiVersions, then Metadata, which a broker that demands authentication does not answer (Kafka protocol guide). Topics are not kept."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk


def _request(key: int, number: int, body: bytes = b"") -> bytes:
    message = key.to_bytes(2, "big") + bytes(2) + number.to_bytes(4, "big") + b"\0\6tutela" + body
    return len(message).to_bytes(4, "big") + message


_VERSIONS, _METADATA = _request(18, 0x7475_7401), _request(3, 0x7475_7402, b"\0\0\0\1\0\x08__tutela")


def _complete(answer: bytes) -> bool:
    return len(answer) >= 4 and len(answer) >= 4 + int.from_bytes(answer[:4], "big")


def talk(address: str, port: int) -> Talk:
    """Does it answer strangers?"""
    _ = (address, port)
    versions = yield Ask(_VERSIONS, _complete)
    if len(versions) < 14 or versions[4:8] != b"\x74\x75\x74\1" or int.from_bytes(versions[8:10], "big", signed=True) not in (0, 35):
        return None
    told = yield Ask(_METADATA, _complete)
    return Finding("kafka", without_authentication=True if told[4:8] == b"\x74\x75\x74\2" else None)
