"""What goes onto the wire, held against a second computation."""

import struct
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutela.exposure.packets import SynPackets, reset_packet

ADDRESSES = {4: st.ip_addresses(v=4), 6: st.ip_addresses(v=6)}


def checksum(raw: bytes) -> int:
    """RFC 1071, one word after another."""
    total = 0
    for at in range(0, len(raw), 2):
        total += raw[at] << 8 | raw[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def whole(packet: bytes) -> tuple[bytes, bytes]:
    """Pseudo-header and segment of a packet."""
    if packet[0] >> 4 == 4:
        return packet[12:20] + struct.pack("!HH", 6, len(packet) - 20), packet[20:]
    return packet[8:40] + struct.pack("!II", len(packet) - 40, 6), packet[40:]


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_every_syn_has_a_right_checksum(version, data):
    source = data.draw(ADDRESSES[version])
    asked = data.draw(st.lists(st.tuples(ADDRESSES[version], st.integers(1, 65535), st.integers(0, 2**32 - 1)), min_size=1, max_size=20))
    stamp = data.draw(st.sampled_from((0, 2**32 - 1)) | st.integers(0, 2**32 - 1))
    packets = SynPackets(source.packed, data.draw(st.integers(1, 65535)), 32)
    packets.fill(np.array([[0] * len(source.packed)], np.uint8), np.array([1], np.uint16), np.array([7], np.uint32), 3)  # what was there before does not show
    destinations = np.frombuffer(b"".join(address.packed for address, _, _ in asked), np.uint8).reshape(len(asked), -1)
    count = packets.fill(destinations, np.array([port for _, port, _ in asked], np.uint16), np.array([seq for _, _, seq in asked], np.uint32), stamp)
    assert count == len(asked)
    for row, (address, port, sequence) in zip(packets.rows[:count], asked, strict=True):
        packet = row.tobytes()
        pseudo, segment = whole(packet)
        assert checksum(pseudo + segment) == 0
        if version == 4:
            assert checksum(packet[:20]) == 0
            assert packet[16:20] == address.packed
            assert struct.unpack("!H", packet[2:4]) == (60,)
        else:
            assert packet[24:40] == address.packed
        ours, theirs, seq, ack = struct.unpack("!HHII", segment[:12])
        assert (ours, theirs, seq, ack) == (packets.source_port, port, sequence, 0)
        assert segment[13] == 2
        assert len(segment) == 40


@pytest.mark.parametrize("source,destination", [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
def test_a_reset_takes_back_what_was_asked(source, destination):
    packet = reset_packet(ip_address(source).packed, 61000, ip_address(destination).packed, 22, 0xFFFFFFFF)
    pseudo, segment = whole(packet)
    assert checksum(pseudo + segment) == 0
    assert struct.unpack("!HHI", segment[:8]) == (61000, 22, 0xFFFFFFFF)
    assert segment[13] == 4
