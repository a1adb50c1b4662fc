"""A process that keeps the right to send packets of its own making, CAP_NET_RAW, and gives up everything else for good. See capabilities(7), prctl(2).

Capabilities belong to a thread: this must happen while there is only one. (numpy starts some, unless OPENBLAS_NUM_THREADS=1.)
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from typing import NoReturn

from tutela.errors import ScanError
from tutela.language import Text

NET_RAW = 13
_ONLY = 1 << NET_RAW
_VERSION_3 = 0x20080522
_SET_KEEPCAPS, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 8, 24, 38, 47, 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def keep_only_net_raw(user: tuple[int, int, tuple[int, ...]] | None) -> None:
    """Become `user` (uid, gid, further groups; None: stay who we are) with CAP_NET_RAW and no other capability, for good. Raises ScanError.

    Root without another user is refused: files of root can be changed without any capability.
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise ScanError(Text("放弃特权时进程已有多个线程", "there is more than one thread, of which each would keep its rights"))
    if user is not None:
        uid, gid, groups = user
        if os.geteuid() != 0 and (uid, gid) != (os.geteuid(), os.getegid()):
            raise ScanError(Text("只有 root 启动的扫描进程才能换成 --user 指定的用户", "only a scanner that root starts can become the user of --user"))
        if os.geteuid() == 0:
            if uid == 0:
                _refuse_root()
            _drop_bounding_set()
            _prctl(_SET_KEEPCAPS, 1)
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    elif os.geteuid() == 0 or os.getuid() == 0:
        _refuse_root()
    if not capabilities()["CapPrm"] & _ONLY:
        raise ScanError(
            Text(
                "没有 CAP_NET_RAW；请用 systemd 单元启动（tutela scanner --show service），或以 root 加 --user 启动",
                "CAP_NET_RAW is missing; start it by its systemd unit (tutela scanner --show service), or as root with --user",
            )
        )
    _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    header = struct.pack("Ii", _VERSION_3, 0)
    if _LIBC.capset(header, struct.pack("6I", _ONLY, _ONLY, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "capset")
    _prctl(_SET_NO_NEW_PRIVS, 1)
    # What is said is not what is: look.
    now = capabilities()
    if (now["CapEff"], now["CapPrm"], now["CapInh"], now["CapAmb"]) != (_ONLY, _ONLY, 0, 0) or not now["NoNewPrivs"]:
        raise ScanError(Text("没有能放弃其他特权", "could not give the other rights up"))


def capabilities() -> dict[str, int]:
    """Sets of capabilities of this process, as proc(5) shows them, and NoNewPrivs."""
    lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines() if ":\t" in line)
    return {name: int(lines.get(name, "0"), 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")}


def _drop_bounding_set() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    bounding = capabilities()["CapBnd"]
    for number in range(last + 1):
        if number != NET_RAW and bounding >> number & 1:
            _prctl(_CAPBSET_DROP, number)


def _prctl(what: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(what, ctypes.c_ulong(value), zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"prctl({what})")


def _refuse_root() -> NoReturn:
    raise ScanError(
        Text(
            "常驻扫描进程不以 root 身份运行；请用 --user 指定一个只供它使用的用户（tutela scanner --show users）",
            "the resident scanner does not run as root; name a user that is its own with --user (tutela scanner --show users)",
        )
    )
