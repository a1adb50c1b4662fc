"""Every system call with which a witness records fails once, and the process is killed at each: no cosignature leaves before its record is durable."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ledger import made, naive
from tutela.ledger.checkpoint import parse_signed
from tutela.ledger.refused import ConflictError
from tutela.ledger.signing import verified_by
from tutela.ledger.store.seen import Seen, create
from tutela.ledger.witness import Request

ROOT = Path(__file__).parents[2]


def request(size: int, old: int) -> Request:
    leaves = [naive.leaf(made.entry(i)) for i in range(size)]
    return Request(old, tuple(naive.consistency(old, leaves)) if 0 < old < size else (), parse_signed(made.checkpoint(leaves)))


def cosigning(folder: Path, *strace: str) -> str:
    """What `tutela ledger witness` prints, while strace looks at what it does with the witness's records."""
    seen = folder / "witness"
    paths = [seen, seen / "seen", *((seen / "seen" / name) for name in (RECORD, f".{RECORD}.new"))]
    done = subprocess.run(
        [
            "strace",
            "-f",
            *strace,
            *(word for path in paths for word in ("-P", str(path))),
            sys.executable,
            "-m",
            "tutela",
            "ledger",
            "witness",
            str(seen),
            "request",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TUTELA_LANG": "en"},
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout


CHANGES = ("openat", "flock", "write", "fsync", "rename")
RECORD = sha256(made.ORIGIN.encode()).hexdigest()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    witness = create(folder / "witness", "witness.example/w1")
    witness.pin(made.SIGNER.key)
    witness.add(request(5, 0))
    (folder / "request").write_bytes(request(9, 5).content)
    return folder


@pytest.mark.program("strace")
@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
def test_what_was_cosigned_was_recorded_before_whatever_fails(fault: str, scene: Path, tmp_path: Path) -> None:
    shutil.copytree(scene, tmp_path / "traced")
    assert cosigning(tmp_path / "traced", "-o", str(tmp_path / "trace")).startswith("\N{EM DASH} witness.example/w1 ")
    calls = re.findall(r"^\d+ +(\w+)\(", (tmp_path / "trace").read_text(), re.MULTILINE)
    # The record is written beside the old one, forced out, takes its place, and that is forced out too; all of it under the lock.
    assert [name for name in calls if name in CHANGES and name != "openat"] == ["flock", "write", "fsync", "rename", "fsync"]
    counted: Counter[str] = Counter()
    outcomes: Counter[tuple[bool, int]] = Counter()
    for name in calls:
        counted[name] += 1
        # Where it only reads, being killed leaves nothing behind.
        if name in ("exit_group", "mmap") or (fault == "signal=KILL" and name not in CHANGES):
            continue
        folder = tmp_path / f"{name}-{counted[name]}"
        shutil.copytree(scene, folder)
        printed = cosigning(folder, "-o", "/dev/null", "-e", f"inject={name}:{fault}:when={counted[name]}")

        again = Seen(folder / "witness")
        last = again.last(made.ORIGIN)
        assert last is not None
        recorded = last.checkpoint.size
        assert recorded in (5, 9)
        if printed:
            verified_by(parse_signed(request(9, 5).head.content + printed.encode()).note, (again.cosigner.key,))
            assert recorded == 9
        outcomes[bool(printed), recorded] += 1
        # And it goes on, whether or not the last answer came through.
        with suppress(ConflictError):
            again.add(request(9, 5))
        again.add(request(20, 9))
    assert outcomes[False, 5] >= 3
    assert outcomes[False, 9] >= 1
