"""Does a service stand behind an open port, or does something else say yes to every SYN?

A SYN proxy or a tar pit finishes the handshake and knows nothing of the data that follows; a service, or at least its kernel, acknowledges it or speaks first.
See Izhikevich et al., "LZR: Identifying Unexpected Internet Services", USENIX Security 2021.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable, Sequence

from tutela.exposure import tcp_info
from tutela.exposure.ports import FRAGILE

PATIENCE_S = 1.5
QUIET_S = 0.1
"""So long, and a round trip, nothing is said: who closes at once answers what comes after that with a reset, as a proxy does that has nobody behind it."""
AT_ONCE = 200


def really_answer(address: str, ports: Sequence[int], *, patience_s: float = PATIENCE_S, stop: Callable[[], bool] = lambda: False) -> frozenset[int]:
    """Those of the ports that finish a handshake and then send a byte, acknowledge one of ours, or close in good order.

    To fragile ports nothing is sent; they count when they speak first.
    """
    found: set[int] = set()
    for at in range(0, len(ports), AT_ONCE):
        found |= _some(address, ports[at : at + AT_ONCE], patience_s, stop)
    return frozenset(found)


def _some(address: str, ports: Sequence[int], patience_s: float, stop: Callable[[], bool]) -> set[int]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    poll = select.poll()
    waiting: dict[int, tuple[socket.socket, int]] = {}
    standing: dict[int, tuple[socket.socket, int]] = {}
    quiet_until: dict[int, float] = {}
    asked: set[int] = set()
    found: set[int] = set()
    try:
        for port in ports:
            one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            if one.connect_ex((address, port)) not in (0, errno.EINPROGRESS):
                one.close()
                continue
            waiting[one.fileno()] = (one, port)
            poll.register(one, select.POLLOUT)
        began = now = time.monotonic()
        deadline = began + patience_s
        while (waiting or standing) and now < deadline and not stop():
            for number, event in poll.poll(50):
                now = time.monotonic()
                if number in waiting and event & select.POLLOUT and not event & select.POLLERR:
                    standing[number] = waiting.pop(number)
                    poll.modify(number, select.POLLIN)
                    # A round trip is no longer than the handshake took.
                    quiet_until[number] = now + QUIET_S + (now - began)
                    deadline = max(deadline, quiet_until[number] + 2 * (now - began))
                elif number in standing and event & select.POLLIN and _spoke(standing[number][0]):
                    found.add(_drop(standing, number, poll))
                elif event & (select.POLLERR | select.POLLHUP | select.POLLIN):
                    _drop(waiting if number in waiting else standing, number, poll)
            now = time.monotonic()
            for number, (one, port) in list(standing.items()):
                if number in asked:
                    if _acknowledged(one):
                        found.add(_drop(standing, number, poll))
                elif port not in FRAGILE and now >= quiet_until[number] and _send(one):
                    asked.add(number)
    finally:
        for one, _ in (*waiting.values(), *standing.values()):
            one.close()
    return found


def _drop(among: dict[int, tuple[socket.socket, int]], number: int, poll: select.poll) -> int:
    one, port = among.pop(number)
    poll.unregister(one)
    one.close()
    return port


def _send(one: socket.socket) -> bool:
    try:
        return one.send(b"\r\n") == 2
    except OSError:
        return False


def _spoke(one: socket.socket) -> bool:
    """It sent a byte, or closed in good order, as a service does that does not like us."""
    try:
        one.recv(1)
    except OSError:
        return False
    return True


def _acknowledged(one: socket.socket) -> bool:
    try:
        info = tcp_info.read(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, tcp_info.MOST_BYTES))
    except OSError:
        return False
    return info is not None and info.state in (tcp_info.ESTABLISHED, tcp_info.CLOSE_WAIT) and info.unacked == 0
