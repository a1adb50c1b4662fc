"""AMQP 0-9-1, as of RabbitMQ: the server starts and names itself and the mechanisms it takes (section 2.2.4). No mechanism is chosen."""

from __future__ import annotations

from tutela.exposure.identify.talk import Ask, Finding, Talk, words

_HEADER = b"AMQP\0\0\x09\1"


def talk(address: str, port: int) -> Talk:
    """What is it?"""
    _ = (address, port)
    return read((yield Ask(_HEADER, _complete)))


def read(answer: bytes) -> Finding | None:
    """Connection.Start, or the header of the version it would rather speak."""
    # A server that takes ours does not name it, as an echo does.
    if answer.startswith(b"AMQP") and len(answer) == 8 and answer != _HEADER:
        return Finding("amqp", f"{answer[5]}-{answer[6]}-{answer[7]}")
    if len(answer) < 12 or answer[:3] != b"\1\0\0" or answer[7:11] != b"\0\x0a\0\x0a":
        return None
    said = words(b" ".join(value for name in (b"product", b"version") if (value := _string(answer, name))))
    free = True if b"ANONYMOUS" in answer else False if _complete(answer) else None
    return Finding("amqp", said, without_authentication=free)


def _complete(answer: bytes) -> bool:
    """A whole frame."""
    return len(answer) >= 7 and len(answer) >= 8 + int.from_bytes(answer[3:7], "big")


def _string(table: bytes, name: bytes) -> bytes:
    """A long string in a field table: length of the name, name, `S`, length, value."""
    at = table.find(bytes((len(name),)) + name + b"S")
    if at < 0:
        return b""
    at += len(name) + 2
    length = min(int.from_bytes(table[at : at + 4], "big"), 60)
    return table[at + 4 : at + 4 + length]
