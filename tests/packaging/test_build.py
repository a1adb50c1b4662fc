"""What hosts install: built from this tree, run in a clean environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "dev" / "build", out], check=True, capture_output=True, cwd=ROOT)
    return out


def clean(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"} | more


def test_the_single_file_runs_anywhere_with_nothing_beside_it(built: Path, tmp_path: Path) -> None:
    program = tmp_path / "tutela.pyz"
    program.write_bytes((built / "tutela.pyz").read_bytes())

    run = subprocess.run([sys.executable, "-I", "-S", program, "explain", "LB-4.6"], capture_output=True, text=True, cwd=tmp_path, env=clean(), check=False)

    assert run.stderr == ""
    assert run.stdout.startswith("LB-4.6  ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tutela.pyz"]


def test_the_single_file_checks_this_host(built: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-S", built / "tutela.pyz", "check", "--quick", "--format", "json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean(),
        check=False,
    )

    assert run.stderr == ""
    assert run.returncode in (0, 2, 3)
    assert '"schema":"tutela/assessment/1"' in run.stdout.replace(" ", "")


def test_the_wheel_installs_and_runs_in_a_clean_environment(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "locks" / "host.txt"], check=True, capture_output=True)
    subprocess.run([*pip, "--no-deps", *built.glob("*.whl")], check=True, capture_output=True)

    run = subprocess.run([tmp_path / "venv" / "bin" / "tutela", "explain", "H-028", "--lang", "zh"], capture_output=True, text=True, env=clean(), check=False)

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("H-028  ")
    installed = sum(path.stat().st_size for path in (tmp_path / "venv").rglob("tutela/**/*") if path.is_file())
    assert installed < 8 << 20


def test_the_same_commit_gives_the_same_single_file(built: Path, tmp_path: Path) -> None:
    subprocess.run([ROOT / "dev" / "build", tmp_path], check=True, capture_output=True, cwd=ROOT)

    assert (built / "tutela.pyz").read_bytes() == (tmp_path / "tutela.pyz").read_bytes()


def test_in_a_fresh_clone_it_first_makes_the_environment_it_builds_with(tmp_path: Path) -> None:
    for name in ("dev", "locks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    asked = tmp_path / "asked"
    (tmp_path / "dev" / "setup").write_text(f'#!/bin/sh\necho "$@" >{asked}\nexit 9\n')

    run = subprocess.run([tmp_path / "dev" / "build", tmp_path / "out"], capture_output=True, check=False, env=clean())

    assert (run.returncode, asked.read_text()) == (9, ".venv dev\n")
