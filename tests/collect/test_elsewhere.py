"""Looking from another host: what the guest sees, and what is believed of its answer."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tutela.collect
from tutela.collect.answer import make_bundle
from tutela.collect.elsewhere import Seen, read_answer
from tutela.errors import BundleError
from tutela.evidence import Evidence, Status
from tutela.evidence.bundle import write_frames

GUEST = Path(tutela.collect.__file__).parent / "guest" / "connect.py"
ANSWER = b"of 192.0.2.10\nfrom 198.51.100.7\nopen 443\nopen 22\nanswers 100 2 3 rounds 2 late 1 controls 3 60\nend\n"


def listening(stack: ExitStack, address: str) -> int:
    one = stack.enter_context(closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)))
    one.bind((address, 0))
    one.listen()
    return int(one.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_guest_finds_what_listens_and_nothing_else(address: str) -> None:
    with ExitStack() as stack:
        ports = sorted(listening(stack, address) for _ in range(5))
        first, last = ports[0], ports[-1]
        argv = [sys.executable, "-I", "-S", "-B", "-", "20000", "200", f"{first}-{last}", address]
        said = subprocess.run(argv, input=GUEST.read_bytes(), capture_output=True, check=True, timeout=250).stdout

    found = read_answer(said, (address,))

    assert found is not None
    assert set(ports) <= set(found[0].open)
    assert (found[0].vantage, found[0].whole, found[0].silent) == (address, True, 0)
    assert len(found[0].open) + found[0].closed == last - first + 1


def test_a_service_that_resets_whoever_comes_listens_all_the_same() -> None:
    """A guest that looks a moment late finds the connection reset; the port was open."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(20)]
        ports = sorted(one.getsockname()[1] for one in listeners)

        def reset(listener: socket.socket) -> None:
            with suppress(OSError):
                one = listener.accept()[0]
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()

        for listener in listeners:
            threading.Thread(target=reset, args=(listener,), daemon=True).start()
        argv = [sys.executable, "-I", "-S", "-B", "-", "20000", "200", ",".join(map(str, ports)), "127.0.0.1"]
        said = subprocess.run(argv, input=GUEST.read_bytes(), capture_output=True, check=True, timeout=250).stdout

    found = read_answer(said, ("127.0.0.1",))

    assert found is not None
    assert found[0].open == tuple(ports)


def test_the_guest_stops_when_its_time_is_up() -> None:
    argv = [sys.executable, "-I", "-S", "-B", "-", "10", "0.5", "1-65535", "127.0.0.1"]
    said = subprocess.run(argv, input=GUEST.read_bytes(), capture_output=True, check=True, timeout=30).stdout

    found = read_answer(said, ("127.0.0.1",))

    assert found is not None
    assert not found[0].whole


def test_an_answer_is_read() -> None:
    assert read_answer(ANSWER, ("192.0.2.10",)) == [Seen("192.0.2.10", "198.51.100.7", (22, 443), 100, 2, 3, 2, 1, (3, 60), whole=True)]
    assert read_answer(ANSWER.replace(b"end\n", b"echo\nend\n"), ("192.0.2.10",)) == [
        Seen("192.0.2.10", "198.51.100.7", (22, 443), 100, 2, 3, 2, 1, (3, 60), whole=True, echo=True)
    ]
    assert read_answer(b"of 192.0.2.10\nnone\nend\n", ("192.0.2.10",)) == [Seen("192.0.2.10", None)]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Welcome!\n" + ANSWER,
        ANSWER + b"x",
        ANSWER[:-4],
        ANSWER.replace(b"192.0.2.10", b"192.0.2.11"),
        ANSWER.replace(b"198.51.100.7", b"198.51.100.700"),
        ANSWER.replace(b"open 22", b"open 65536"),
        ANSWER.replace(b"open 22", b"open 22\x1b[2J"),
        ANSWER + ANSWER,
    ],
)
def test_anything_else_is_no_answer(said: bytes) -> None:
    assert read_answer(said, ("192.0.2.10",)) is None


@given(st.binary(max_size=200), st.integers(0, len(ANSWER)))
def test_no_bytes_make_reading_an_answer_raise(said: bytes, at: int) -> None:
    read_answer(ANSWER[:at] + said + ANSWER[at:], ("192.0.2.10",))


@pytest.mark.parametrize("name", ["scan of 192.0.2.10 from 203.0.113.7", "scan of x from y (again)", "knock test from the centre"])
def test_a_host_that_hands_in_what_only_others_can_see_is_refused(name: str) -> None:
    frames = write_frames([Evidence("meta", Status.OK, b"version=1"), Evidence(name, Status.OK, b"all is closed")])

    with pytest.raises(BundleError, match="only somebody elsewhere can see"):
        make_bundle("host", frames, datetime(2026, 11, 22, tzinfo=UTC), {})
