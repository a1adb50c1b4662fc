"""A target that lies, run in its namespace: `python liar.py CARD`.

It sees the scanner's SYNs and throws back all that a reader might stumble over: the right cookie for another port or from another host,
wrong cookies, resets and ICMP errors about packets never sent, cut packets, options, later fragments, jumbo packets, junk.
None of it says truly that a port is open or closed.
"""

import random
import socket
import struct
import sys

ETHERTYPE = {4: 0x0800, 6: 0x86DD}
OTHER = {4: socket.inet_aton("198.18.0.77"), 6: socket.inet_pton(socket.AF_INET6, "fd98::77")}


def ip(version: int, protocol: int, source: bytes, target: bytes, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    if version == 4:
        size = 20 + len(options)
        head = struct.pack("!BBHHHBBH", 0x40 + size // 4, 0, size + len(payload), 1, fragment, 60, protocol, 0) + source + target + options
        total = sum(struct.unpack(f"!{size // 2}H", head))
        total = (total >> 16) + (total & 0xFFFF)
        return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + payload
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 60) + source + target + payload


def tcp(port: int, ours: int, flags: int, ack: int, more: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", port, ours, 12345, ack & 0xFFFFFFFF, 0x50, flags, 1000, 0, 0) + more


def lies(version: int, us: bytes, scanner: bytes, ours: int, port: int, sequence: int) -> list[bytes]:
    """In answer to one SYN from the scanner's port `ours` to our `port`."""
    other = port % 65535 + 1
    right = sequence + 1
    quoted = {
        "wrong cookie": ip(version, 6, scanner, us, struct.pack("!HHI", ours, port, right)),
        "other port": ip(version, 6, scanner, us, struct.pack("!HHI", ours, other, sequence)),
        "other host": ip(version, 6, scanner, OTHER[version], struct.pack("!HHI", ours, port, sequence)),
        "UDP": ip(version, 17, scanner, us, struct.pack("!HHI", ours, port, sequence)),
    }
    unreachable, protocol = (struct.pack("!BBHI", 3, 13, 0, 0), 1) if version == 4 else (struct.pack("!BBHI", 1, 1, 0, 0), 58)
    # The kernel of the scanner resets what it does not know: a right cookie is in none that it would believe.
    told = [
        ip(version, 6, us, scanner, tcp(port, ours, 0x12, right + 1)),
        ip(version, 6, us, scanner, tcp(port, ours, 0x12, sequence)),
        ip(version, 6, us, scanner, tcp(other, ours, 0x12, right)),
        ip(version, 6, OTHER[version], scanner, tcp(port, ours, 0x12, right)),
        ip(version, 6, us, scanner, tcp(port, ours % 999 + 61000, 0x12, right)),
        ip(version, 6, us, scanner, tcp(port, ours, 0x14, random.getrandbits(32))),
        *(ip(version, 6, us, scanner, tcp(port, ours, flags, right)) for flags in (0x02, 0x10, 0x13, 0x16, 0x04, 0x00)),
        *(ip(version, protocol, us, scanner, unreachable + packet) for packet in quoted.values()),
        *(ip(version, protocol, us, scanner, unreachable + quoted["wrong cookie"][:cut]) for cut in (0, 1, 19, 21, 24)),
        *(ip(version, 6, us, scanner, tcp(port, ours, 0x12, right)[:cut]) for cut in (0, 2, 4, 8, 12, 13)),
        ip(version, 6, us, scanner, tcp(port, ours, 0x12, right + 7, random.randbytes(8900))),
        ip(version, 6, us, scanner, random.randbytes(60)),
        random.randbytes(random.randint(1, 200)),
    ]
    if version == 4:
        told += [
            ip(4, 6, us, scanner, tcp(port, ours, 0x12, right + 9), options=b"\1" * random.choice((4, 20, 40))),
            ip(4, 6, us, scanner, tcp(port, ours, 0x12, right), fragment=0x2000 | 5),
            ip(4, 6, us, scanner, tcp(port, ours, 0x12, right), fragment=7),
            bytes([0x4F]) + ip(4, 6, us, scanner, tcp(port, ours, 0x12, right))[1:],
            bytes([0x41]) + ip(4, 6, us, scanner, tcp(port, ours, 0x12, right))[1:],
        ]
    else:
        head = ip(6, 44, us, scanner, struct.pack("!BBHI", 6, 0, 0, 1) + tcp(port, ours, 0x12, right))
        told += [head, ip(6, 0, us, scanner, bytes((6, 0, 1, 4, 0, 0, 0, 0)) + tcp(port, ours, 0x12, right))]
    return told


def main() -> None:
    card = sys.argv[1]
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    heard.bind((card, 0))
    own = heard.getsockname()[4]
    print("lying", flush=True)
    while True:
        frame = heard.recv(200)
        version = {b"\x08\x00": 4, b"\x86\xdd": 6}.get(frame[12:14])
        head = 14 + (20 if version == 4 else 40)
        if version is None or frame[:6] != own or len(frame) < head + 20 or frame[head + 13] != 0x02:
            continue
        scanner, us = (frame[26:30], frame[30:34]) if version == 4 else (frame[22:38], frame[38:54])
        ours, port, sequence = struct.unpack_from("!HHI", frame, head)
        ethernet = frame[6:12] + frame[:6] + struct.pack("!H", ETHERTYPE[version])
        for packet in lies(version, us, scanner, ours, port, sequence):
            heard.send(ethernet + packet)


if __name__ == "__main__":
    main()
