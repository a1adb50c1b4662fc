"""How long until anything happens: `--help`, and loading all content."""

from __future__ import annotations

from bench.measure import PYTHON, TUTELA, goal, measure, table

LOAD = "import time, tutela.library as l; t = time.perf_counter(); l.load_content(); print(time.perf_counter() - t)"


def main() -> None:
    commands = {
        "python -c pass": [PYTHON, "-c", "pass"],
        "tutela --help": [*TUTELA, "--help"],
        "load all content": [PYTHON, "-c", "import tutela.library as l; l.load_content()"],
        "import what loading needs": [PYTHON, "-c", "import tutela.library"],
        "tutela explain LB-4.6": [*TUTELA, "explain", "LB-4.6"],
    }
    figures = measure(commands, dict.fromkeys(commands, 15))
    table("Start", figures, "python -c pass")
    loading = figures["load all content"].wall_s - figures["import what loading needs"].wall_s
    goal(f"--help within 150 ms: {1000 * figures['tutela --help'].wall_s:.0f} ms", met=figures["tutela --help"].wall_s < 0.150)
    goal(f"all content within 60 ms: {1000 * loading:.0f} ms", met=loading < 0.060)
