"""What comes back: right answers are understood, and nothing else is believed or breaks anything."""

import struct
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.exposure.model import Request
from tutela.exposure.replies import RESET, SYN_ACK, UNREACHABLE, read
from tutela.exposure.ring import SNAP
from tutela.exposure.syn import SILENT, SynScan

HOST = {4: ip_address("192.0.2.9"), 6: ip_address("2001:db8::9")}
US = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}


def ip(version: int, protocol: int, payload: bytes, *, source=None, options: bytes = b"") -> bytes:
    source = source or HOST[version]
    if version == 4:
        return (
            struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 0, 0, 60, protocol, 0)
            + source.packed
            + US[4].packed
            + options
            + payload
        )
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 60) + source.packed + US[6].packed + payload


def tcp(port: int, flags: int, ack: int, ours: int = 61000) -> bytes:
    return struct.pack("!HHIIBBHHH", port, ours, 12345, ack & 0xFFFFFFFF, 0x50, flags, 0, 0, 0)


def icmp(version: int, code: int, port: int, sequence: int, ours: int = 61000) -> bytes:
    quoted = struct.pack("!HHI", ours, port, sequence)
    if version == 4:
        inner = struct.pack("!BBHHHBBH", 0x45, 0, 60, 0, 0, 60, 6, 0) + US[4].packed + HOST[4].packed + quoted
        return ip(4, 1, struct.pack("!BBHI", 3, code, 0, 0) + inner, source=ip_address("198.51.100.1"))
    inner = struct.pack("!IHBB", 6 << 28, 40, 6, 60) + US[6].packed + HOST[6].packed + quoted
    return ip(6, 58, struct.pack("!BBHI", 1, code, 0, 0) + inner, source=ip_address("2001:db8:ffff::1"))


def rows(*packets: bytes) -> np.ndarray:
    return np.frombuffer(b"".join(packet[:SNAP].ljust(SNAP, b"\0") for packet in packets), np.uint8).reshape(-1, SNAP)


@pytest.mark.parametrize("version", [4, 6])
def test_answers_are_read(version):
    found = read(
        rows(ip(version, 6, tcp(22, 0x12, 1001)), ip(version, 6, tcp(23, 0x14, 2001)), icmp(version, 13 if version == 4 else 1, 24, 3000)),
        np.arange(3.0),
        version,
    )
    assert found.kind.tolist() == [SYN_ACK, RESET, UNREACHABLE]
    assert found.port.tolist() == [22, 23, 24]
    assert found.sequence.tolist() == [1000, 2000, 3000]
    assert found.our_port.tolist() == [61000] * 3
    assert {bytes(address) for address in found.address} == {HOST[version].packed}


def test_ip_options_are_stepped_over():
    found = read(rows(ip(4, 6, tcp(22, 0x12, 1)), ip(4, 6, tcp(80, 0x12, 1), options=b"\1" * 24)), np.arange(2.0), 4)
    assert found.port.tolist() == [22, 80]
    assert found.sequence.tolist() == [0, 0]


@pytest.mark.parametrize("flags", [0x02, 0x10, 0x18, 0x13, 0x16, 0x00, 0x04, 0x11])
def test_other_segments_are_no_answers(flags):
    assert len(read(rows(ip(4, 6, tcp(22, flags, 1))), np.zeros(1), 4).kind) == 0


@pytest.mark.parametrize("version", [4, 6])
@given(junk=st.lists(st.binary(max_size=SNAP), max_size=8), chosen=st.lists(st.integers(0, SNAP - 1), max_size=6), value=st.integers(0, 255))
def test_no_packet_breaks_anything_nor_opens_a_port(version, junk, chosen, value):
    scan = SynScan(Request((HOST[version],), (22, 23, 24)))
    scan.sent(scan.next(10, 0.0), 0.0)
    place = {int(port): probe for probe, port in enumerate(scan.ports)}
    right = {port: int(scan.sequences[place[port]]) for port in (22, 23, 24)}
    near = [
        ip(version, 6, tcp(22, 0x12, right[22] + 2)),
        ip(version, 6, tcp(22, 0x12, right[22])),
        ip(version, 6, tcp(23, 0x12, right[22] + 1)),
        icmp(version, 13, 24, right[24] + 1),
    ]
    broken = rows(*(junk or [b""]), *near).copy()
    for at in chosen:
        # The acknowledged number stays as it is: a flip there could hit the cookie by design of the test alone.
        if not (20 <= at < 60):
            broken[:, at] = value
    scan.answered(read(broken, np.zeros(len(broken)), version), 0.1)
    assert (scan.state == SILENT).all()


@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_counts_only_for_what_was_asked(version):
    scan = SynScan(Request((HOST[version],), (22, 23)))
    place = {int(port): probe for probe, port in enumerate(scan.ports)}
    answer = rows(ip(version, 6, tcp(22, 0x12, int(scan.sequences[place[22]]) + 1)))
    assert scan.answered(read(answer, np.zeros(1), version), 0.1) == []
    scan.sent(scan.next(10, 0.0), 0.0)
    stranger = rows(ip(version, 6, tcp(22, 0x12, int(scan.sequences[place[22]]) + 1), source=US[version]))
    assert scan.answered(read(stranger, np.zeros(1), version), 0.1) == []
    assert [one.port for one in scan.answered(read(answer, np.zeros(1), version), 0.1)] == [22]
    assert scan.answered(read(answer, np.zeros(1), version), 0.2) == []
