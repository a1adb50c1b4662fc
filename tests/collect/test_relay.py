"""Connections that another host makes: what goes over them arrives, and whatever the other side does harms nobody here."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tutela.collect.relay import MOST_BYTES, STANDS, Relay, guest_argv
from tutela.collect.run import Running
from tutela.errors import CollectError

HEAD = struct.Struct(">IcH")
GUEST_LETS_THROUGH = 256 * 1024


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay(guest_argv(sys.executable), Running()) as one:
        yield one


@pytest.fixture
def serving() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Serve each connection by a function; returns the port."""
    listeners = []

    def serve(talk: Callable[[socket.socket], None]) -> int:
        one = socket.create_server(("127.0.0.1", 0))
        listeners.append(one)

        def accept() -> None:
            while True:
                try:
                    connection = one.accept()[0]
                except OSError:
                    return
                with connection:
                    talk(connection)

        threading.Thread(target=accept, daemon=True).start()
        return int(one.getsockname()[1])

    yield serve
    for one in listeners:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


def whole(one: socket.socket) -> bytes:
    one.settimeout(20)
    said = b""
    while part := one.recv(65536):
        said += part
    return said


def test_bytes_go_both_ways_and_connections_do_not_mix(relay: Relay, serving: Callable[..., int]) -> None:
    port = serving(lambda one: one.sendall(one.recv(100)[::-1]))
    lines = [relay.connect("127.0.0.1", port) for _ in range(20)]
    for number, one in enumerate(lines):
        one.sendall(b"question %d" % number)

    assert [whole(one) for one in lines] == [STANDS + (b"question %d" % number)[::-1] for number in range(20)]
    assert not relay.ended
    for one in lines:
        one.close()


def test_what_was_said_before_the_end_is_read_also_by_who_asks_too_late(relay: Relay, serving: Callable[..., int]) -> None:
    curt = serving(lambda one: one.sendall(b"-DENIED"))
    echo = serving(lambda one: one.sendall(one.recv(10)))
    with closing(relay.connect("127.0.0.1", curt)) as one, closing(relay.connect("127.0.0.1", echo)) as other:
        assert one.recv(1) == STANDS
        # By then the end of the first has come here, too.
        other.sendall(b"there?")
        assert whole(other) == STANDS + b"there?"
        one.sendall(b"PING")
        one.sendall(b"PING")
        assert whole(one) == b"-DENIED"


def test_what_was_said_before_a_reset_is_read(relay: Relay, serving: Callable[..., int]) -> None:
    """Fifty at once: by the time the guest looks, most connections have come and gone."""

    def curt(one: socket.socket) -> None:
        one.sendall(b"-DENIED")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    port = serving(curt)
    lines = [relay.connect("127.0.0.1", port) for _ in range(50)]
    assert [whole(one) for one in lines] == [STANDS + b"-DENIED"] * 50
    for one in lines:
        one.close()


def test_a_refused_connection_ends_without_a_word(relay: Relay) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with closing(relay.connect("127.0.0.1", port)) as one:
        assert whole(one) == b""


def test_who_talks_without_end_is_cut(relay: Relay, serving: Callable[..., int]) -> None:
    def endless(one: socket.socket) -> None:
        with suppress(OSError):
            while True:
                one.sendall(b"x" * 65536)

    with closing(relay.connect("127.0.0.1", serving(endless))) as one:
        said = whole(one)

    assert GUEST_LETS_THROUGH // 2 < len(said) <= GUEST_LETS_THROUGH + 1


def test_the_other_side_sees_the_connection_end_when_it_is_not_wanted_any_more(relay: Relay, serving: Callable[..., int]) -> None:
    ended = threading.Event()

    def wait(one: socket.socket) -> None:
        with suppress(ConnectionResetError):
            assert one.recv(10) == b""
        ended.set()

    with closing(relay.connect("127.0.0.1", serving(wait))) as one:
        assert one.recv(1) == STANDS
    assert ended.wait(10)


def test_when_the_way_breaks_every_connection_ends_and_it_is_known(serving: Callable[..., int]) -> None:
    running, over = Running(), threading.Event()
    with Relay(guest_argv(sys.executable), running) as relay, closing(relay.connect("127.0.0.1", serving(lambda one: over.wait() and None))) as one:
        assert one.recv(1) == STANDS
        running.stop()
        assert whole(one) == b""
        assert relay.ended
        with closing(relay.connect("127.0.0.1", 1)) as later:
            assert whole(later) == b""
    over.set()


@pytest.mark.parametrize(
    "said",
    [b"Last login: Sun Nov 22\r\n", HEAD.pack(1, b"x", 3), b"\xff" * 20_000, b""],
    ids=["words of a login", "an unknown kind", "noise", "nothing"],
)
def test_what_is_no_relay_is_known_as_such(said: bytes) -> None:
    program = f"import sys; sys.stdout.buffer.write({said!r}); sys.stdout.flush(); sys.stdin.buffer.read()" if said else "pass"
    with Relay([sys.executable, "-c", program], Running()) as relay, closing(relay.connect("192.0.2.1", 22)) as one:
        assert whole(one) == b""
        assert relay.ended
        assert not relay.runs(60)


def test_a_slow_login_is_waited_for(tmp_path: Path) -> None:
    slowly = ["sh", "-c", f'while [ ! -e {tmp_path}/in ]; do sleep 0.1; done; exec "$0" "$@"', *guest_argv(sys.executable)]
    with Relay(slowly, Running()) as relay:
        assert not relay.runs(0.1)
        (tmp_path / "in").touch()
        assert relay.runs(60)
        assert not relay.ended


FLOOD = """
import struct, sys
head = struct.Struct(">IcH")
heard = b""
while b"192.0.2.1 22" not in heard:
    heard += sys.stdin.buffer.read1(65536)
say = sys.stdout.buffer.write
say(head.pack(9, b"d", 5) + b"never")
say(head.pack(1, b"o", 0))
for _ in range(1000):
    say(head.pack(1, b"d", 60000) + b"x" * 60000)
sys.stdout.flush()
open(sys.argv[1], "w").close()
sys.stdin.buffer.read()
"""


def test_a_guest_that_floods_fills_no_memory(tmp_path: Path) -> None:
    """What waits for a slow reader is bounded, and the connection ends; what nobody asked for goes nowhere."""
    flooded = tmp_path / "flooded"
    with Relay([sys.executable, "-c", FLOOD, str(flooded)], Running()) as relay, closing(relay.connect("192.0.2.1", 22)) as one:
        assert one.recv(1) == STANDS
        while not flooded.exists():
            assert not relay.ended
            time.sleep(0.02)
        said = whole(one)
        assert MOST_BYTES < len(said) < MOST_BYTES + 1024 * 1024
        assert set(said) == {ord("x")}
        assert not relay.ended


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(CollectError, match="no-such-program"):
        Relay(["no-such-program"], Running()).__enter__()
