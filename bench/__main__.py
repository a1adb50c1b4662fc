"""Run the benchmarks named on the command line, or all. `scan/sweep` is one part of a benchmark that has parts.

Figures are those of the Python that set up this clone; Debian's own is quicker than one that pyenv compiled.
`PATH=/usr/sbin:/usr/bin:/sbin:/bin bench/run` in a fresh clone takes Debian's.
"""

from __future__ import annotations

import os
import platform
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
    print(f"Python {platform.python_version()} of {sys.base_prefix}")
    for word in wanted:
        name, _, part = word.partition("/")
        import_module(f"bench.{name.replace('-', '_')}").main(*([part] if part else []))
    return 0


sys.exit(main())
