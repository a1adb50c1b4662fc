"""Talking to a process: neither side blocks the other, and nothing outlasts its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tutela.collect.run import MAX_ANSWER_BYTES, MAX_COMPLAINT_BYTES, Running, Talk, run_probe
from tutela.errors import CollectError
from tutela.evidence.bundle import MAX_BUNDLE_BYTES


def sh(text: str, *, timeout_s: int = 30, running: Running | None = None, talk: Talk | None = None) -> tuple[bytes, int, bytes]:
    return run_probe(["sh", "-c", text], timeout_s, running, talk or Talk(b""))


def test_all_pipes_may_be_full_at_once() -> None:
    out, rc, complaints = sh("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; wc -c; exit 7", talk=Talk(b"x" * 3_000_000))

    assert (out, rc) == (bytes(3_000_000) + b"3000000\n", 7)
    assert complaints == bytes(MAX_COMPLAINT_BYTES)


def test_the_last_complaint_is_kept() -> None:
    assert sh("head -c 3000000 /dev/zero >&2; echo why >&2")[2].endswith(b"\0why\n")


def test_one_that_reads_nothing_is_no_error() -> None:
    assert sh("exec <&-; echo done", talk=Talk(b"x" * 3_000_000)) == (b"done\n", 0, b"")


def test_complaints_are_heard_as_they_come_and_input_stays_open() -> None:
    heard: list[bytes] = []

    out, _, _ = sh("echo early >&2; read -r word; echo $word; sleep 0.2; ! read -t 0 rest 2>/dev/null", talk=Talk(b"sent\n", stay=True, hear=heard.append))

    assert out == b"sent\n"
    assert heard[0] == b"early\n"


@pytest.mark.parametrize("text", ["sleep 600", "sleep 600 | sleep 600", "exec >&- 2>&-; sleep 600", "yes >&2", "trap '' TERM HUP INT; sleep 600; sleep 600"])
def test_a_time_out_ends_it_with_its_children(text: str, tmp_path: Path) -> None:
    started = time.monotonic()

    with pytest.raises(CollectError, match="not done within 1 seconds"):
        sh(f"cd {tmp_path}; {text}", timeout_s=1)

    # Long before they would have ended by themselves.
    assert time.monotonic() - started < 600
    assert left_in(tmp_path) == []


ASKING = """
import sys
from tutela.collect.run import Talk, run_probe
print("asking", flush=True)
print(run_probe(["sh", "-c", "sleep 1; head -c 300000 /dev/zero"], 8, None, Talk(b""))[1])
"""


def test_time_in_which_this_program_was_stopped_is_not_the_hosts() -> None:
    with subprocess.Popen([sys.executable, "-c", ASKING], stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "asking\n"
        time.sleep(0.3)
        asking.send_signal(signal.SIGSTOP)
        time.sleep(10)
        asking.send_signal(signal.SIGCONT)
        assert asking.stdout.read() == "0\n"


def test_more_than_a_bundle_may_hold_is_not_read() -> None:
    with pytest.raises(CollectError, match="more than a bundle may hold"):
        sh("cat /dev/zero")


def test_what_a_command_leaves_behind_is_not_waited_for() -> None:
    """As ssh with ControlPersist: its master keeps standard error open."""
    said, rc, _ = sh("sleep 600 >/dev/null & echo $!")

    assert rc == 0
    # It still sleeps: to end one that does not exist would be an error.
    os.kill(int(said), signal.SIGKILL)


def test_stop_ends_what_runs_and_what_starts_later(tmp_path: Path) -> None:
    running = Running()
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(sh(f"cd {tmp_path}; sleep 60", running=running)[1]))
    thread.start()
    while not working_in(tmp_path):
        time.sleep(0.01)
    running.stop()
    thread.join(20)
    results.append(sh("sleep 60", running=running)[1])

    assert results == [-9, -9]
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[str]:
    """What still works there a while later: a process that was killed needs a moment to be gone, and what was not killed stays for a minute."""
    deadline = time.monotonic() + 10
    while working_in(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    return working_in(folder)


def working_in(folder: Path) -> list[str]:
    """Processes whose working directory is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_the_probe_waits_for_no_module_that_it_can_do_without() -> None:
    said = subprocess.run([sys.executable, "-c", "import sys, tutela.collect.one; print(*sys.modules)"], capture_output=True, text=True, check=True).stdout

    assert "tutela.collect.run" in said.split()
    assert not {"tutela.evidence", "tutela.site", "hashlib", "json", "gzip"} & set(said.split())


def test_as_much_is_read_as_a_bundle_may_hold() -> None:
    assert MAX_ANSWER_BYTES == MAX_BUNDLE_BYTES
