"""The first start of a clone: at once, interrupted, without network, without room."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "http", "HTTP", "no_proxy", "SSL_"))}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git clone would bring, in a folder whose name has a space and Chinese."""
    to = tmp_path / "克 隆"
    for name in ("dev", "locks", "src"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "tutela", to / "tutela")
    return to


def start(clone: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(clone.parent), "LC_ALL": "zh_CN.UTF-8"} | PLACES | more
    return subprocess.Popen(
        [clone / "tutela", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", env=surroundings, start_new_session=True
    )


def left(clone: Path) -> list[str]:
    return sorted(path.name for path in clone.iterdir() if path.name.startswith(".venv"))


def test_two_first_starts_at_once_both_run(clone: Path) -> None:
    runs = [start(clone, "--version") for _ in range(2)]

    assert [(run.communicate()[0].split(" ")[0], run.returncode) for run in runs] == [("tutela", 0)] * 2
    assert left(clone) == [".venv"]


def test_an_interrupted_first_start_leaves_nothing_and_the_next_one_runs(clone: Path) -> None:
    run = start(clone, "--version")
    while not left(clone):
        assert run.poll() is None
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGTERM)
    run.communicate()

    assert run.returncode != 0
    assert left(clone) == []
    link = clone.parent / "link"
    link.symlink_to(clone / "tutela")
    assert subprocess.run([link, "--version"], capture_output=True, check=False, env={"PATH": os.environ["PATH"], "HOME": "/"} | PLACES).returncode == 0


def test_without_network_it_says_what_failed_and_what_to_set(clone: Path) -> None:
    nothing = clone.parent / "nothing"
    nothing.mkdir()
    run = start(clone, "--version", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(nothing))
    _, said = run.communicate()

    assert run.returncode == 1
    assert "tutela: 安装 locks/host.txt 失败" in said
    assert "PIP_FIND_LINKS" in said
    assert left(clone) == []


@pytest.mark.parametrize(
    ("locale", "words"), [("zh_CN.UTF-8", "需要 Python 3.11"), ("zh_CN.GBK", "3.11 or newer"), ("zh_CN", "3.11 or newer"), ("C", "3.11 or newer")]
)
def test_without_python_it_says_so_in_chinese_only_where_that_can_be_read(clone: Path, locale: str, words: str) -> None:
    few = clone.parent / "few"
    few.mkdir()
    for name in ("sh", "cat", "cksum", "dirname", "readlink"):
        (few / name).symlink_to(str(shutil.which(name)))
    run = start(clone, "--version", LC_ALL=locale, PATH=str(few))
    _, said = run.communicate()

    assert (run.returncode, words in said, "probe.sh" in said) == (1, True, True)


def test_a_cache_that_cannot_be_made_is_named(clone: Path) -> None:
    run = subprocess.run(
        ["sh", clone / "dev" / "setup", "/dev/null/tutela/venv", "host"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "TUTELA_LANG": "zh"},
    )

    assert run.returncode == 1
    assert "tutela: 无法创建 /dev/null/tutela/venv" in run.stderr
    assert "XDG_CACHE_HOME" in run.stderr


def test_a_scan_without_what_fast_scans_need_is_a_slow_one(clone: Path) -> None:
    run = start(clone, "--version")
    run.communicate()
    nothing = clone.parent / "nothing"
    nothing.mkdir()
    run = start(clone, "scan", "127.0.0.1", "--ports", "9", "--no-identify", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(nothing))
    seen, said = run.communicate()

    assert run.returncode == 0, said
    assert "locks/scan.txt" in said
    assert "没有 numpy，改用普通连接" in seen


@pytest.mark.root
def test_the_first_scan_brings_what_fast_scans_need(clone: Path) -> None:
    run = start(clone, "scan", "127.0.0.1", "--ports", "9")
    seen, said = run.communicate()

    assert run.returncode == 0, said
    assert "SYN 探测包" in seen
