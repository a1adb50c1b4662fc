"""This program was held up (a busy machine, a slow reader of its results, ^Z): what had come by then counts, and nobody's time ran out for it."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from tutela.exposure.connect import scan_by_connecting
from tutela.exposure.identify import identify
from tutela.exposure.identify.door import Door
from tutela.exposure.identify.talk import Ask
from tutela.exposure.model import Address, Request, Tally
from tutela.exposure.payloads import Answer, Question
from tutela.exposure.udp import scan_udp

HELD_UP_S = 3.0
SERVE = """
import socket, sys, threading, time
delay, answers = float(sys.argv[1]), [one.encode().decode("unicode_escape").encode() for one in sys.argv[2:]]
def talk(line):
    with line:
        for answer in answers:
            if not line.recv(1000):
                return
            time.sleep(delay)
            line.sendall(answer)
        line.recv(1)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()
"""


@contextmanager
def server(delay_s: float, *answers: str) -> Iterator[int]:
    """Another process, so that it goes on while this one is held up; each question gets the next answer. Its port."""
    with subprocess.Popen([sys.executable, "-c", SERVE, str(delay_s), *answers], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_who_reads_results_slowly_learns_the_later_ones_too() -> None:
    version = r"$24\r\nredis_version:7.0.15\r\n..\r\n"
    with server(0.0, r"+PONG\r\n", version) as quick, server(0.15, r"+PONG\r\n", version) as slow:
        found = {}
        for service in identify([("127.0.0.1", "tcp", quick), ("127.0.0.1", "tcp", slow)]):
            found[service.port] = (service.name, service.said)
            time.sleep(HELD_UP_S)

    assert found == dict.fromkeys((quick, slow), ("redis", "7.0.15"))


def test_an_answer_that_came_in_time_to_a_busy_program_is_read() -> None:
    async def ask(port: int) -> bytes:
        async with Door("127.0.0.1", port).connection() as line:
            asking = asyncio.create_task(line.ask(Ask(b"?"), 0.3))
            await asyncio.sleep(0.05)
            time.sleep(0.5)  # busy with something else
            return await asking

    with server(0.1, "here") as port:
        assert asyncio.run(ask(port)) == b"here"


def held_up_before(number: int) -> Callable[[Address], bool]:
    """Permits everything, and holds the program up before the question of that number."""
    asked = 0

    def permits(_address: Address) -> bool:
        nonlocal asked
        asked += 1
        if asked == number:
            time.sleep(HELD_UP_S)
        return True

    return permits


def test_a_connection_that_stood_was_an_open_port_though_it_was_reset_since() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as other:
        ports = listening.getsockname()[1], other.getsockname()[1]

        def reset(listener: socket.socket) -> None:
            with suppress(OSError):
                one = listener.accept()[0]
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()

        for one in (listening, other):
            threading.Thread(target=reset, args=(one,), daemon=True).start()
        events = list(scan_by_connecting(Request((ip_address("127.0.0.1"),), ports), permits=held_up_before(2)))

    (tally,) = [event for event in events if isinstance(event, Tally)]
    assert tally.open == tuple(sorted(ports))


def test_over_udp_the_answer_to_the_last_question_is_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        for each in (one, silent):
            each.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], silent.getsockname()[1]

        def answer() -> None:
            said, peer = one.recvfrom(100)
            one.sendto(said, peer)

        threading.Thread(target=answer, daemon=True).start()
        echo = Question("echo", ports, "RFC 862", lambda token: token, lambda token, said: Answer() if said == token else None)
        events = list(scan_udp(Request((ip_address("127.0.0.1"),), ports, rounds=1), permits=held_up_before(2), questions=(echo,)))

    (tally,) = [event for event in events if isinstance(event, Tally)]
    assert (tally.open, tally.silent) == ((ports[0],), 1)
