"""Running the whole probe, as it is or on a staged host: a mount namespace in which files can be planted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import tutela.collect
from tutela.evidence import Evidence
from tutela.evidence.bundle import read_frames

PROBE = Path(tutela.collect.__file__).parent / "probe.sh"
SHELLS = {"dash": ["dash"], "bash": ["bash", "-o", "posix"], "ash": ["busybox", "ash"]}
AWKS = {"mawk": "/usr/bin/mawk", "gawk": "/usr/bin/gawk", "busybox": "busybox"}


ALONE = ("-m", "-p", "-f", "--mount-proc", "--kill-child")
"""For unshare(1): what other tests run at the same time comes and goes, and is not seen."""


def instead_of_lanes(probe: str, lines: str) -> str:
    """The probe with other lines in place of its lanes and of what they need to know."""
    changed, count = re.subn(r"^looks$", lambda _: lines, probe, flags=re.MULTILINE)
    assert count == 1
    return changed


def frames(raw: bytes) -> dict[str, Evidence]:
    return dict(read_frames(raw))


@dataclass
class Stage:
    """A host on which no other process runs: a script run before the probe, in a mount namespace of its own: what it mounts and writes there stays there.

    /etc, /home, /root, /srv, /opt and /var are overlays in memory, so planting changes nothing on this machine.
    """

    folder: Path
    lines: list[str]
    unshare: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder, self.unshare = folder, ALONE
        self.lines = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs -o mode=755 tmpfs {folder}"]
        for place in ("etc", "home", "root", "srv", "opt", "var"):
            self.lines += [
                f"mkdir -p {folder}/{place}.up {folder}/{place}.work",
                f"mount -t overlay overlay -o lowerdir=/{place},upperdir={folder}/{place}.up,workdir={folder}/{place}.work /{place}",
            ]

    def do(self, *lines: str) -> Stage:
        self.lines += lines
        return self

    def plant(self, path: str, content: str, mode: str = "600") -> Stage:
        """A file of the staged host."""
        quoted = content.replace("'", "'\\''")
        return self.do(f"mkdir -p '{os.path.dirname(path)}'", f"printf %s '{quoted}' >'{path}'", f"chmod {mode} '{path}'")

    def awk(self, awk: str) -> Stage:
        """Which awk the probe finds; it looks for it in /usr/bin, whatever PATH says."""
        if awk == "busybox":
            wrapper = f"{self.folder}/awk"
            # A link under the name of the applet, as Alpine has it.
            self.do(f"cp {shutil.which('busybox')} {wrapper}", "touch /usr/bin/awk", f"mount --bind {wrapper} {os.path.realpath('/usr/bin/awk')}")
        else:
            self.do(f"mount --bind {AWKS[awk]} {os.path.realpath('/usr/bin/awk')}")
        return self

    def argv(self, shell: list[str] | None = None, *arguments: str, before: tuple[str, ...] = ()) -> list[str]:
        script = "\n".join([*self.lines, 'exec "$@"'])
        return ["unshare", *self.unshare, "sh", "-c", script, "sh", *before, *(shell or ["sh"]), str(PROBE), *arguments]

    def run(self, shell: list[str] | None = None, *arguments: str, timeout: int = 200, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        argv = self.argv(shell, *arguments, before=before)
        return subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False)

    def frames(self, shell: list[str] | None = None, *arguments: str) -> dict[str, Evidence]:
        done = self.run(shell, *arguments)
        assert done.returncode == 0, done.stderr
        return frames(done.stdout)
