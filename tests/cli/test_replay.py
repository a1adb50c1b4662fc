"""Many recorded bundles are judged by several workers, and that is not to be seen in what they say."""

from __future__ import annotations

import os
import random
import subprocess
import sys
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
    assert [b"is cut" in line for line in lines] == [False] * MANY + [True]


def test_lines_of_any_length_come_in_the_order_of_the_files() -> None:
    chance = random.Random(3)
    lengths = [chance.choice([0, 1, 5000, 100_000]) for _ in range(20 * CHUNK + 7)]
    paths = [Path(str(number)) for number in range(len(lengths))]

    def judge(path: Path) -> tuple[bytes, int]:
        number = int(path.name)
        return b"%d:%s\n" % (number, b"x" * lengths[number]), number % 3

    done = list(replay(paths, judge))

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
        list(replay([Path(str(number)) for number in range(300)], judge))

    assert len(os.listdir("/proc/self/fd")) == len(before)
