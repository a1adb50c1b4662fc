"""Time whole commands as the kernel accounts them, several times, interleaved."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = str(ROOT / ".venv" / "bin" / "python")
TUTELA = [str(ROOT / "tutela")]
"""The whole command, as it is typed."""
# As an ordinary user has it: compiled modules are kept.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the runs of one command."""

    wall_s: float
    cpu_s: float
    """User and system, of the command and everything it waited for."""
    rss_mb: float
    """Largest single process."""
    runs: int


def once(argv: Sequence[str], *, stdin: bytes | None = None, ok: Sequence[int] | None = (0, 2, 3)) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak resident MB of one run; raises when it exits with none of `ok`."""
    started = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd=ROOT,
    )
    if stdin is not None:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if ok is not None and process.returncode not in ok:
        raise SystemExit(f"{' '.join(argv)[:200]} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(
    commands: Mapping[str, Sequence[str]], runs: Mapping[str, int], *, stdin: Mapping[str, bytes] | None = None, ok: Sequence[int] | None = (0, 2, 3)
) -> dict[str, Figures]:
    """Medians of each command; the runs take turns, so that a slow minute of the machine hits all alike."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for name, argv in commands.items():
        if runs[name] > 1:
            once(argv, stdin=(stdin or {}).get(name), ok=ok)
    for turn in range(max(runs.values())):
        for name, argv in commands.items():
            if turn < runs[name]:
                print(f"\r\x1b[K  {name} {turn + 1}/{runs[name]}", end="", file=sys.stderr, flush=True)
                taken[name].append(once(argv, stdin=(stdin or {}).get(name), ok=ok))
    print("\r\x1b[K", end="", file=sys.stderr)
    return {name: _middle(rows) for name, rows in taken.items()}


def _middle(rows: Sequence[tuple[float, float, float]]) -> Figures:
    wall, cpu, rss = map(statistics.median, zip(*rows, strict=True))
    return Figures(wall, cpu, rss, len(rows))


def table(title: str, figures: Mapping[str, Figures], base: str, extra: Mapping[str, str] | None = None) -> None:
    """Print figures with their ratios to `base`."""
    print(f"\n{title}")
    print(f"{'':<34}{'wall':>9}{'CPU':>9}{'RSS':>9}{'wall ×':>9}{'CPU ×':>8}  runs")
    for name, one in figures.items():
        wall, cpu = one.wall_s / figures[base].wall_s, one.cpu_s / figures[base].cpu_s
        print(f"{name:<34}{one.wall_s:>8.3f}s{one.cpu_s:>8.3f}s{one.rss_mb:>7.0f}MB{wall:>9.2f}{cpu:>8.2f}  {one.runs}  {(extra or {}).get(name, '')}")


def goal(words: str, *, met: bool) -> None:
    """Print whether a goal was met."""
    print(f"  {'met ' if met else 'MISSED'}  {words}")


def install(*packages: str) -> None:
    """Install Debian packages that are missing; no daemon is started."""
    missing = [name for name in packages if subprocess.run(["dpkg-query", "-W", name], capture_output=True, check=False).returncode]
    if missing:
        print(f"installing {' '.join(missing)}", file=sys.stderr)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True, env=environment)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True, capture_output=True, env=environment)
