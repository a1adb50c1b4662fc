"""Many recorded bundles are judged by several workers, and that is not to be seen in what they say."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.assess.test_memory import ROOT, shipped, varied
from tutela.assess import assess
from tutela.cli.check import MANY
from tutela.cli.replay import CHUNK, replay
from tutela.collect.archive import read_bundle, write_bundle
from tutela.report.json import document, encoded
from tutela.site import Site


def check(*words: str) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "tutela", "check", "--format", "jsonl", *words], capture_output=True, env=environment, check=False, timeout=300
    )


def test_many_varied_bundles_are_judged_together_as_each_alone_to_the_byte(tmp_path: Path) -> None:
    for number, bundle in enumerate(varied(17, 11, days=5)):
        write_bundle(tmp_path / f"{number:03}.bundle", bundle)
    paths = sorted(tmp_path.glob("*.bundle"))
    assert len(paths) > MANY
    assert len(paths) > CHUNK

    together = check(str(tmp_path))

    alone = [encoded(document(assess(read_bundle(path), shipped(), Site()))).encode() for path in paths]
    assert together.stdout.split(b"\n") == [*alone, b""]
    one = check(str(paths[1]))
    assert one.stdout == alone[1] + b"\n"
    assert together.returncode == one.returncode == 2


def test_what_cannot_be_read_among_many_is_a_line_that_says_why(tmp_path: Path) -> None:
    for number in range(MANY):
        (tmp_path / f"{number:03}.bundle").write_bytes((ROOT / "examples" / "debian-12.bundle").read_bytes())
    (tmp_path / "cut.bundle").write_bytes((ROOT / "examples" / "debian-12.bundle").read_bytes()[:1000])

    lines = check(str(tmp_path)).stdout.splitlines()

    assert len(lines) == MANY + 1
    assert [b"is cut, or something follows" in line for line in lines] == [False] * MANY + [True]


def test_lines_of_any_length_come_in_the_order_of_the_files() -> None:
    chance = random.Random(3)
    lengths = [chance.choice([0, 1, 5000, 100_000]) for _ in range(20 * CHUNK + 7)]
    paths = [Path(str(number)) for number in range(len(lengths))]

    def judge(path: Path) -> tuple[bytes, int]:
        number = int(path.name)
        return b"%d:%s\n" % (number, b"x" * lengths[number]), number % 3

    done = list(replay(paths, judge, lambda: False))

    assert b"".join(lines for lines, _, _ in done) == b"".join(judge(path)[0] for path in paths)
    assert sum(count for _, _, count in done) == len(paths)
    assert set().union(*(statuses for _, statuses, _ in done)) == {0, 1, 2}


def test_a_fault_in_a_worker_ends_the_replay_with_that_fault_and_leaves_nothing_open() -> None:
    def judge(path: Path) -> tuple[bytes, int]:
        if path.name == "100":
            raise ZeroDivisionError
        return b"", 0

    before = os.listdir("/proc/self/fd")
    with pytest.raises(ZeroDivisionError):
        list(replay([Path(str(number)) for number in range(300)], judge, lambda: False))

    assert len(os.listdir("/proc/self/fd")) == len(before)


MORE_THAN_A_MOMENT = 20_000


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of bundles that takes half a minute to judge, so that a test that is held up comes in time."""
    folder = tmp_path / "many"
    folder.mkdir()
    (tmp_path / "one").write_bytes((ROOT / "examples" / "debian-12.bundle").read_bytes())
    for number in range(MORE_THAN_A_MOMENT):
        (folder / f"{number:05}.bundle").hardlink_to(tmp_path / "one")
    return folder


class InTerminal:
    """A replay in the foreground of a terminal of its own, as a person starts it."""

    def __init__(self, *words: str, output: Path) -> None:
        self.output = output
        self.master, slave = pty.openpty()
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
        argv = ["setsid", "--ctty", sys.executable, "-m", "tutela", "check", "--format", "jsonl", *words]
        with output.open("wb") as stdout:
            self.process = subprocess.Popen(argv, stdin=slave, stdout=stdout, stderr=slave, env=environment)
        os.close(slave)

    def begun(self) -> None:
        """Wait until the first lines are there."""
        deadline = time.monotonic() + 60
        while self.output.stat().st_size == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def ended(self) -> int:
        """The exit status; what was said to the terminal is in `said` then."""
        self.said = b""
        try:
            while piece := os.read(self.master, 65536):
                self.said += piece
        except OSError:
            pass  # the last one who had the terminal open is gone
        os.close(self.master)
        return self.process.wait(60)

    def waits(self) -> bool:
        """Whether it has taken every signal and waits for something; false while it is busy. It must not have ended."""
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines())
        assert not status["State"].startswith("Z")
        return status["State"].startswith("S") and int(status["SigPnd"], 16) == int(status["ShdPnd"], 16) == 0

    def left(self) -> list[str]:
        """Processes of its session that still run."""
        return [one for one in os.listdir("/proc") if one.isdecimal() and int(one) != self.process.pid and _session(one) == self.process.pid]

    def all_gone(self) -> None:
        """Wait until none is left."""
        deadline = time.monotonic() + 10
        while left := self.left():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def _session(pid: str) -> int:
    try:
        return os.getsid(int(pid))
    except ProcessLookupError:
        return -1


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda one: os.write(one.master, b"\x03"), id="Ctrl-C at the terminal"),
        pytest.param(lambda one: os.kill(one.process.pid, signal.SIGTERM), id="SIGTERM"),
        pytest.param(lambda one: os.killpg(one.process.pid, signal.SIGTERM), id="SIGTERM to all its processes"),
    ],
)
def test_an_interrupt_keeps_the_lines_that_are_done_and_says_how_many(many: Path, tmp_path: Path, stop: Callable[[InTerminal], None]) -> None:
    replaying = InTerminal(str(many), output=tmp_path / "lines")
    replaying.begun()
    stop(replaying)

    assert replaying.ended() == 130
    subjects = [json.loads(line)["subject"] for line in replaying.output.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    assert 0 < len(subjects) < MORE_THAN_A_MOMENT
    assert replaying.output.read_bytes().count(b"\n") == len(subjects)
    assert f"interrupted: {len(subjects)} of {MORE_THAN_A_MOMENT} bundles were judged\r\n".encode() in replaying.said
    assert b"Traceback" not in replaying.said
    assert replaying.left() == []


def test_an_interrupt_keeps_the_lines_that_are_done_in_the_named_file_too(many: Path, tmp_path: Path) -> None:
    replaying = InTerminal(str(many), "--output", str(tmp_path / "kept"), output=tmp_path / "lines")
    while not (parts := list(tmp_path.glob(".kept.*.part"))) or parts[0].stat().st_size == 0:
        assert replaying.process.poll() is None
        time.sleep(0.02)
    os.write(replaying.master, b"\x03")

    assert replaying.ended() == 130
    lines = (tmp_path / "kept").read_bytes()
    assert 0 < lines.count(b"\n") < MORE_THAN_A_MOMENT
    assert lines.endswith(b"\n")


def test_a_second_interrupt_does_not_wait_for_what_is_under_way(many: Path, tmp_path: Path) -> None:
    replaying = InTerminal(str(many), output=tmp_path / "lines")
    replaying.begun()
    os.killpg(replaying.process.pid, signal.SIGSTOP)
    os.kill(replaying.process.pid, signal.SIGCONT)  # its workers stay stopped: nothing that is under way will ever be done
    os.kill(replaying.process.pid, signal.SIGINT)
    time.sleep(0.5)
    while not replaying.waits():
        time.sleep(0.02)
    os.kill(replaying.process.pid, signal.SIGINT)

    assert replaying.ended() == 130
    assert b"Traceback" not in replaying.said
    replaying.all_gone()  # a worker that is killed is not gone at once


def test_a_reader_that_goes_away_ends_the_replay(many: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-m", "tutela", "check", "--format", "jsonl", str(many)]
    replaying = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert replaying.stdout is not None
    assert replaying.stderr is not None
    with replaying.stdout as lines:
        json.loads(lines.readline())

    # Its end would come only with the last worker's, who has it open too.
    assert replaying.stderr.read() == b""
    assert replaying.wait(60) == 1
    replaying.stderr.close()


def test_workers_never_outlive_the_replay(many: Path, tmp_path: Path) -> None:
    replaying = InTerminal(str(many), output=tmp_path / "lines")
    replaying.begun()
    assert replaying.left() != []
    os.kill(replaying.process.pid, signal.SIGKILL)

    assert replaying.ended() == -signal.SIGKILL
    replaying.all_gone()
