"""Run the benchmarks named on the command line, or all. `scan/sweep` is one part of a benchmark that has parts."""

from __future__ import annotations

import os
import sys
from importlib import import_module

NAMES = ("start", "one-host", "fleet", "replay", "scan", "ledger")


def main() -> int:
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name.partition("/")[0] not in NAMES]
    if unknown:
        print(f"bench/run: {unknown[0]!r} is none of {', '.join(NAMES)}", file=sys.stderr)
        return 1
    if os.geteuid() != 0:
        print("bench/run: needs root, to install the peers and to see what they see", file=sys.stderr)
        return 1
    for word in wanted:
        name, _, part = word.partition("/")
        import_module(f"bench.{name.replace('-', '_')}").main(*([part] if part else []))
    return 0


sys.exit(main())
