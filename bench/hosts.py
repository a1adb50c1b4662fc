"""Tutela inside a host of the lab, as an installation would have it there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

from tests.lab import Host

from bench.measure import ROOT

PLACE = "/srv/tutela"
"""Of all that a benchmark puts into a host."""
_ENVIRONMENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8")


def inside(host: Host, argv: Sequence[str]) -> list[str]:
    """`argv` as root of `host` would type it."""
    return host.exec_argv([*_ENVIRONMENT, *argv])


def furnish(host: Host) -> None:
    """A clone of Tutela that was used before: compiled, and with an environment, which takes PyYAML from Debian."""
    clone = io.BytesIO()
    with tarfile.open(fileobj=clone, mode="w") as archive:
        for name in ("tutela", "src", "locks"):
            archive.add(ROOT / name, name, filter=lambda one: None if one.name.endswith("__pycache__") else one)
    host.run(["mkdir", PLACE])
    host.run(["tar", "-x", "-C", PLACE, "--no-same-owner"], stdin=clone.getvalue())
    host.run(f"cd {PLACE}; python3 -m venv --system-site-packages --without-pip .venv; cksum <locks/host.txt >.venv/host.installed")
    host.run(["python3", "-m", "compileall", "-q", f"{PLACE}/src"])
