"""What is mounted where, and the mounts that the baseline restricts: /proc, /tmp, /dev/shm.

Source: /proc/self/mountinfo (proc_pid_mountinfo(5)); a later mount on the same point hides an earlier one.
"""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts.look import Look
from tutela.language import Text
from tutela.record import record

SOURCE = "/proc/self/mountinfo"
NEEDS = (SOURCE,)
MAX_MOUNTS = 20_000
REMOTE = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "fuse.sshfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.glusterfs",
        "glusterfs",
        "ceph",
        "fuse.ceph",
        "lustre",
        "afs",
        "9p",
        "virtiofs",
    }
)
"""File systems that lie on another machine (or on the host of a virtual one)."""


@record
class Mount:
    """Mount(path='/tmp', device='tmpfs', number='0:35', type='tmpfs', options=('rw', 'nosuid', 'nodev'))"""

    path: str
    device: str
    """`/dev/mapper/vg-root`, `tank/data`, `nas:/export`, `tmpfs`"""
    number: str
    """major:minor"""
    type: str
    options: tuple[str, ...]
    """Options of the mount and of its file system together."""

    @property
    def remote(self) -> bool:
        """Whether its data lie on another machine."""
        return self.type in REMOTE


@record
class Mounts:
    """Mounts(all=(Mount(…), …), hidepid=False, tmp=Mount(…), shm=Mount(…))"""

    all: tuple[Mount, ...]
    hidepid: bool
    """Whether /proc hides the processes of others."""
    tmp: Mount | None
    """The mount of /tmp alone; None: a directory of another mount."""
    shm: Mount | None
    tmp_open: tuple[str, ...]
    """What a separate /tmp still allows: of nodev, nosuid those that are missing."""
    shm_executable: bool
    """Whether programs can run from /dev/shm."""

    def of(self, path: str) -> Mount | None:
        """The mount that holds an absolute path."""
        best: Mount | None = None
        for mount in self.all:
            if under(path, mount.path) and (best is None or len(mount.path) >= len(best.path)):
                best = mount
        return best


def under(path: str, top: str) -> bool:
    """Whether `path` is `top` or lies under it."""
    top = top.rstrip("/")
    return path.rstrip("/") == top or path.startswith(top + "/")


def parse(look: Look) -> Mounts | Unobserved:
    """The fact."""
    text = look.text(SOURCE)
    if isinstance(text, Unobserved):
        return text
    mounts: list[Mount] = []
    for line in text.split("\n")[:MAX_MOUNTS]:
        left, dash, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if not dash or len(before) < 6 or len(after) < 2:
            if line:
                return Unobserved(Reason.FORMAT, SOURCE, Text("无法理解的挂载行", "a mount that is not understood"))
            continue
        options = (*before[5].split(","), *(after[2].split(",") if len(after) > 2 else ()))
        mounts.append(Mount(_plain(before[4]), _plain(after[1]), before[2], after[0], tuple(dict.fromkeys(options))))
    if not mounts:
        return Unobserved(Reason.FORMAT, SOURCE, Text("没有任何挂载", "it lists no mount"))
    at = {mount.path: mount for mount in mounts}
    proc, tmp, shm = at.get("/proc"), at.get("/tmp"), at.get("/dev/shm")  # noqa: S108 - looked up, not written to
    return Mounts(
        all=tuple(mounts),
        hidepid=proc is not None and any(re.fullmatch(r"hidepid=(1|2|4|noaccess|invisible|ptraceable)", one) for one in proc.options),
        tmp=tmp,
        shm=shm,
        tmp_open=() if tmp is None else tuple(one for one in ("nodev", "nosuid") if one not in tmp.options),
        shm_executable=shm is not None and "noexec" not in shm.options,
    )


def _plain(word: str) -> str:
    """Spaces, tabs, newlines and backslashes stand as octal escapes."""
    return re.sub(r"\\(040|011|012|134)", lambda found: chr(int(found[1], 8)), word)
