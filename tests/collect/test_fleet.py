"""A fleet, with a stand-in for ssh that answers with a recorded host's frames."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tutela.cli.options import read_targets
from tutela.collect.archive import read_bundle
from tutela.collect.fleet import SPARE, collect_fleet, side_by_side
from tutela.collect.run import Look
from tutela.collect.target import SshTarget
from tutela.errors import UsageError
from tutela.language import Lang

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a command `ssh` that answers so many times as the file `answers` names, each after as many seconds as `seconds` names; then it hangs."""
    (tmp_path / "frames").write_bytes(read_bundle(ROOT / "examples" / "debian-12.bundle").frames)
    (tmp_path / "seconds").write_text("0")
    (tmp_path / "answers").write_text("1000")
    (tmp_path / "ssh").write_text(f"""#!/bin/sh
cd {tmp_path} && echo >>asked || exit
[ "$(wc -c <asked)" -le "$(cat answers)" ] || exec sleep 600
sleep "$(cat seconds)" && exec cat frames
""")
    (tmp_path / "ssh").chmod(0o755)
    return tmp_path


def argv(place: Path, hosts: int, *words: str) -> list[str]:
    (place / "hosts.ini").write_text(f"host[001:{hosts:03}]\n")
    return [sys.executable, "-m", "tutela", *words, f"@{place / 'hosts.ini'}", "--quick"]


def environment(place: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "PATH": f"{place}:{os.environ['PATH']}"}


def run(place: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env=environment(place), check=False, timeout=300)


def left(place: Path) -> list[str]:
    """Processes that work in the folder, as the stand-in does."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == place:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("jobs", [1, 200])
def test_few_descriptors_slow_a_fleet_down_and_lose_no_host(place: Path, jobs: int) -> None:
    (place / "seconds").write_text("0" if jobs == 1 else "1")
    hosts = 8 if jobs == 1 else 200
    words = argv(place, hosts, "collect", "--jobs", str(jobs), "--output", str(place / "kept"))

    done = run(place, ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *words])

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((place / "kept").iterdir())) == hosts


def test_side_by_side_is_what_the_limit_leaves_room_for() -> None:
    words = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (%d, 9999)); from {side_by_side.__module__} import side_by_side; print(side_by_side(200))"
    )
    said = [int(subprocess.run([sys.executable, "-c", words % limit], capture_output=True, check=True).stdout) for limit in (9000, 256, SPARE)]

    assert said[0] == 200
    assert 50 < said[1] < 75
    assert said[2] == 1


def test_what_hosts_have_in_common_is_read_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    targets = [SshTarget(name, name) for name in ("one", "two", "three")]

    first, *others = collect_fleet(targets, Look(), lambda: datetime(2026, 11, 22, tzinfo=UTC), jobs=3)

    assert first.sources
    for other in others:
        assert all(other.sources[name] is evidence for name, evidence in first.sources.items())


def test_an_interrupt_reports_what_is_done_and_leaves_no_process(place: Path) -> None:
    (place / "answers").write_text("8")
    words = argv(place, 40, "check", "--jobs", "4", "--format", "jsonl")
    with (place / "lines").open("w") as lines:
        process = subprocess.Popen(words, stdout=lines, stderr=subprocess.PIPE, text=True, env=environment(place))
    while len(left(place)) < 4 or not all(one.startswith("sleep") for one in left(place)):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    said = [json.loads(line) for line in (place / "lines").read_text().splitlines()]
    assert (process.returncode, err) == (130, "")
    assert len({one["subject"] for one in said}) == len(said) == 40
    lost = [one["unreachable"]["en"] for one in said if one["unreachable"] is not None]
    assert 0 < len(lost) < 40
    assert set(lost) == {"interrupted before it was looked at"}
    assert left(place) == []


@pytest.mark.parametrize("command", ["check", "collect"])
def test_an_interrupt_ends_the_look_at_a_single_host(place: Path, command: str) -> None:
    (place / "seconds").write_text("600")
    words = [sys.executable, "-m", "tutela", command, "ssh://one"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(place), cwd="/")
    while not (place / "asked").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=60) == ("", "tutela: interrupted\n")
    assert process.returncode == 130
    assert left(place) == []


def test_a_reader_that_goes_away_ends_the_fleet(place: Path) -> None:
    (place / "seconds").write_text("1")
    (place / "answers").write_text("40")
    words = argv(place, 100, "check", "--jobs", "4", "--format", "jsonl")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place))
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    process.wait(60)

    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert (place / "asked").stat().st_size < 50
    assert left(place) == []


def test_progress_is_shown_to_a_terminal_only(place: Path) -> None:
    words = argv(place, 5, "collect", "--output", str(place / "kept"))
    mine, terminal = pty.openpty()
    shown = subprocess.run(words, stdout=subprocess.PIPE, stderr=terminal, env=environment(place), check=True, timeout=60)
    os.close(terminal)
    bar = os.read(mine, 65536)
    os.close(mine)

    silent = run(place, words)

    assert b"5/5 hosts, 0 unreachable" in bar
    assert bar.endswith(b"\r\x1b[K")
    assert b"hosts," not in shown.stdout
    assert silent.stderr == ""


def test_a_host_named_twice_is_looked_at_once(place: Path) -> None:
    (place / "a.ini").write_text("one ansible_user=x\ntwo\none ansible_port=22\n")
    (place / "b.ini").write_text("two\nthree\n")

    targets = read_targets([f"@{place / 'a.ini'}", f"@{place / 'b.ini'}", "ssh://three"], Lang.EN)

    assert [target.name for target in targets] == ["one", "two", "three"]


def test_two_hosts_of_one_name_are_refused(place: Path) -> None:
    """One's bundle would replace the other's."""
    (place / "a.ini").write_text("one ansible_host=198.18.1.1\n")
    (place / "b.ini").write_text("one ansible_host=198.18.1.2\n")

    with pytest.raises(UsageError, match="one"):
        read_targets([f"@{place / 'a.ini'}", f"@{place / 'b.ini'}"], Lang.EN)
