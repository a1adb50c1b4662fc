"""What this machine is short of (files, packet sockets, time) is told, and nothing is concluded from it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tutela.cli import main
from tutela.exposure.identify.after import identified
from tutela.exposure.model import Service, Summary, Tally

ROOT = Path(__file__).parents[2]
FEW_FILES = """
import resource, selectors, socket, subprocess, sys
from ipaddress import ip_address
from tutela.exposure.connect import scan_by_connecting
from tutela.exposure.identify import identify
from tutela.exposure.model import Open, Request
greeting = '''
import contextlib, selectors, socket
poll = selectors.DefaultSelector()
for _ in range(40):
    one = socket.create_server(("127.0.0.1", 0))
    poll.register(one, selectors.EVENT_READ)
    print(one.getsockname()[1], end=" ")
print(flush=True)
while True:
    for key, _ in poll.select():
        # Who only asks whether the port is open may be gone already.
        with contextlib.suppress(ConnectionError):
            key.fileobj.accept()[0].sendall(b"SSH-2.0-here\\\\r\\\\n")
'''
server = subprocess.Popen([sys.executable, "-c", greeting], stdout=subprocess.PIPE, text=True)
try:
    ports = [int(word) for word in server.stdout.readline().split()]
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    print(sum(service.name == "ssh" for service in identify([("127.0.0.1", "tcp", port) for port in ports])), len(ports))
    print(sum(isinstance(event, Open) for event in scan_by_connecting(Request((ip_address("127.0.0.1"),), tuple(ports)))))
finally:
    server.kill()
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_with_few_files_fewer_ports_are_looked_at_side_by_side_and_none_is_missed_or_unknown_for_it() -> None:
    said = subprocess.run([sys.executable, "-c", FEW_FILES], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True)
    assert said.stdout == "40 40\n40\n"


def test_a_kernel_without_packet_sockets_is_scanned_from_by_connections(port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr("tutela.exposure.engine.Ring", refused)
    words = ["scan", "127.0.0.1", "-p", str(port), "--no-identify", "--lang", "en"]
    assert main(words) == 0
    assert "without raw sockets (Address family not supported by protocol), by ordinary" in capsys.readouterr().out
    assert main([*words, "--method", "raw"]) == 1
    assert "--method raw needs raw sockets (Address family not supported by protocol)" in capsys.readouterr().err


@pytest.mark.parametrize(("lang", "said"), [("en", "the scan of 127.0.0.1 broke off: Too many open files"), ("zh", "扫描 127.0.0.1 时中断：打开的文件太多")])
def test_what_the_system_refuses_a_scan_names_the_scan(lang: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("tutela.exposure.scan._look", full)
    assert main(["scan", "127.0.0.1", "-p", "22", "--lang", lang]) == 1
    assert capsys.readouterr().err == f"tutela: {said}\n"


def test_services_that_were_not_asked_for_want_of_time_are_told() -> None:
    events = [Tally("192.0.2.1", 3, (22, 80, 9100), 0, 0, 0), Summary("raw", 0.1, 3, 1, 0.0, 0.0)]
    (summary,) = [event for event in identified(events, stop=lambda: True) if isinstance(event, Summary)]
    assert [note.en for note in summary.notes] == [
        "ports 9100 not asked what they are: printers and machine controllers use them",
        "not asked what they are: 2 of the open ports, since the scan was stopped, or its window ended",
    ]


def test_a_window_that_ends_while_services_are_asked_has_ended_the_scan(port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[bool] = []

    def ends(*_: object, **__: object) -> Iterator[Service]:
        ended.append(True)
        return iter(())

    monkeypatch.setattr("tutela.exposure.identify.after.identify", ends)
    monkeypatch.setattr("tutela.exposure.gate.Gate.closes", lambda _: bool(ended))
    assert main(["scan", "127.0.0.1", "-p", str(port), "--method", "connect", "--window", "daily 00:00-24:00", "--lang", "en"]) == 3
    assert "not asked what they are: 1 of the open ports" in capsys.readouterr().out


def test_a_scan_that_is_refused_leaves_the_report_of_the_last_one(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report"
    report.write_text("what was found last time, and more of it than will be found now: " * 20)
    before = report.read_text()
    words = ["scan", "127.0.0.1", "-p", str(port), "--no-identify", "-f", "csv", "-o", str(report)]
    assert main([*words, "--scanner", str(tmp_path / "nobody")]) == 1
    assert report.read_text() == before
    assert main([*words, "--method", "connect"]) == 0
    assert report.read_text().splitlines()[1] == f"127.0.0.1,tcp,{port},open,,,,,,"
    assert len(report.read_text().splitlines()) == 2
