"""The programs that the lab needs on its machine, installed by apt-get when they are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.command import run
from tests.lab.errors import LabError

__all__ = ["require_tools"]

_PACKAGE_OF = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def require_tools() -> None:
    """Make sure that every program is there; nothing is started or enabled by these packages.

    Raises LabError without root, or when apt-get cannot install what is missing.
    """
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces and mounts: run it as root")
    missing = {package for program, package in _PACKAGE_OF.items() if shutil.which(program) is None}
    if not _KEYRING.exists():
        missing.add("debian-archive-keyring")
    if not missing:
        return
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], timeout_s=300, env=quiet)
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *sorted(missing)]
    run(install, timeout_s=600, env=quiet)
