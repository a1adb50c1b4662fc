"""The probe changes nothing: every system call of a whole run that could, as strace sees it, is one of a few that are explained in trace.py."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.collect.probe import PROBE, SHELLS
from tests.collect.trace import changes, strace

# As root the probe could write anywhere.
pytestmark = pytest.mark.root


def traced(tmp_path: Path, *argv: str) -> Path:
    trace = tmp_path / "trace"
    done = subprocess.run(strace(trace, *argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"end\n")
    return trace


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_a_quick_look_changes_nothing(tmp_path: Path, shell: list[str]) -> None:
    assert changes(traced(tmp_path, *shell, str(PROBE), "--quick")) == set()


def test_a_full_look_changes_nothing(tmp_path: Path) -> None:
    assert changes(traced(tmp_path, "sh", str(PROBE), "--addresses", "192.0.2.5,2001:db8::5")) == set()


def test_the_guard_sees_changes(tmp_path: Path) -> None:
    """The test above can fail: each of these is seen."""
    script = f"cd {tmp_path}; >new; echo x >>new; mkdir d; mv new d/; chmod 600 d/new; ln -s d l; touch -d yesterday d/new; rm -r d l; echo end"

    seen = {name.partition("(")[0] for name in changes(traced(tmp_path, "sh", "-c", script))}

    assert {"openat", "mkdir", "fchmodat", "unlinkat", "utimensat"} <= seen
    assert seen & {"rename", "renameat2"}
    assert seen & {"symlink", "symlinkat"}
    script = "import socket; socket.create_connection(('203.0.113.1', 80), 0.01)"
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", str(trace), "/usr/bin/python3", "-c", script], capture_output=True, check=False)
    assert any("203.0.113.1" in call for call in changes(trace))


def test_nothing_of_the_probe_is_left_running(tmp_path: Path) -> None:
    """Every process it started has ended when it ends."""
    trace = traced(tmp_path, "sh", str(PROBE), "--quick")
    text = trace.read_text(errors="backslashreplace")
    started = set(re.findall(r"^(\d+) ", text, re.MULTILINE))

    assert len(started) > 10
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
