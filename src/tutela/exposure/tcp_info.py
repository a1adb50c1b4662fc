"""What the kernel knows of one of its TCP connections: struct tcp_info (linux/tcp.h), which only ever grows at its end. Pure."""

from __future__ import annotations

import sys

from tutela.record import record

MOST_BYTES = 512
"""To ask for: more than any kernel has to tell."""
ESTABLISHED, CLOSE_WAIT = 1, 8
_STATE, _UNACKED, _RTT, _LEAST_RTT = 0, 24, 68, 148
_UNMEASURED = (0, 0xFFFFFFFF)


@record
class TcpInfo:
    """TcpInfo(state=1, unacked=0, rtt_s=0.0204)"""

    state: int
    unacked: int
    """Segments sent and not acknowledged."""
    rtt_s: float | None
    """The quickest round trip of the last minutes; of an older kernel the smoothed one, in which late acknowledgements count. None where none was measured."""


def read(raw: bytes) -> TcpInfo | None:
    """The struct as getsockopt(2) and sock_diag(7) give it; None where it is too short to be one."""
    if len(raw) < _RTT + 4:
        return None
    trips = (microseconds for microseconds in (_number(raw, _LEAST_RTT), _number(raw, _RTT)) if microseconds not in _UNMEASURED)
    quickest = next(trips, None)
    return TcpInfo(raw[_STATE], _number(raw, _UNACKED), None if quickest is None else quickest / 1e6)


def _number(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], sys.byteorder) if len(raw) >= at + 4 else 0
