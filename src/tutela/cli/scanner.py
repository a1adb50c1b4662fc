"""`tutela scanner`: the resident process that scans for others, or the files that a system needs to run it."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import stat
import sys
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tutela.cli.options import FILE, Group, positive
from tutela.errors import ScanError, UsageError, said_by_system
from tutela.language import Lang, Text

if TYPE_CHECKING:
    from pwd import struct_passwd

SHOWN = {"service": "tutela-scanner.service", "users": "tutela-scanner.sysusers", "nft": "tutela-scanner.nft"}


def configure(parser: argparse.ArgumentParser, lang: Lang) -> None:
    """Arguments of the command."""
    name = Text("名称", "NAME")
    group = Group(parser, lang, "允许什么", "what is allowed")
    group.add(
        "--allow",
        zh="可以扫描的网段，每行一个（必需）",
        en="prefixes that may be scanned, one a line (required)",
        type=Path,
        action="append",
        default=[],
        metavar=FILE,
    )
    group.add("--opt-out", zh="从不扫描的地址", en="addresses that are never scanned", type=Path, action="append", default=[], metavar=FILE)
    group.add("--allow-group", zh="可以使用它的组", en="a group that may use it", action="append", default=[], metavar=name)
    group.add("--allow-user", zh="可以使用它的用户", en="a user who may use it", action="append", default=[], metavar=name)
    group = Group(parser, lang, "怎样运行", "how it runs")
    group.add(
        "--socket",
        zh="监听的套接字（默认 /run/tutela/scanner.sock）",
        en="the socket it listens on (default /run/tutela/scanner.sock)",
        type=Path,
        metavar=FILE,
    )
    group.add("--user", zh="以 root 启动时换成的用户", en="the user it becomes when root starts it", metavar=name)
    group = Group(parser, lang, "限度", "limits")
    group.add(
        "--rate",
        zh="所有扫描合计每秒探测包（默认 50000）",
        en="packets a second of all scans together (default 50000)",
        type=positive,
        default=50_000,
        metavar="N",
    )
    group.add("--jobs", zh="同时的扫描数（默认 16）", en="scans at a time (default 16)", type=positive, default=16, metavar="N")
    group.add("--jobs-a-user", zh="每个用户同时的扫描数（默认 4）", en="scans at a time of one user (default 4)", type=positive, default=4, metavar="N")
    group.add("--seconds", zh="一次扫描的时限（默认 900）", en="time limit of a scan (default 900)", type=positive, default=900, metavar="N")
    group.add(
        "--again",
        zh="同样的问题在这么多秒内只扫描一次（默认 60）",
        en="the same question is scanned once in so many seconds (default 60)",
        type=positive,
        default=60,
        metavar="N",
    )
    group.add(
        "--entries",
        zh="路径上防火墙状态表中允许占用的条目数（默认不限）",
        en="entries that silent ports may fill in tables of firewalls on the way (default: no limit)",
        type=positive,
        metavar="N",
    )
    group = Group(parser, lang, "安装", "installing")
    group.add(
        "--show",
        zh="打印 systemd 单元、sysusers 文件或 nftables 规则（规则含 --allow 的网段）",
        en="print the systemd unit, the sysusers file, or nftables rules (with the prefixes of --allow)",
        choices=tuple(SHOWN),
    )


def run(arguments: argparse.Namespace, lang: Lang) -> int:
    """Serve until SIGTERM; or print a file."""
    from tutela.exposure.admission import Allowed, Limits, Lists
    from tutela.exposure.client import DEFAULT
    from tutela.exposure.privileges import keep_only_net_raw

    if arguments.show:
        print(shown(arguments.show, arguments.allow), end="")
        return 0
    _ = lang
    lists = Lists(arguments.allow, arguments.opt_out)
    user = _user(arguments.user)
    users = {0, os.geteuid() if user is None else user.pw_uid, *(_user_named(name).pw_uid for name in arguments.allow_user)}
    allowed = Allowed(frozenset(users), frozenset(_group(name) for name in arguments.allow_group))
    limits = Limits(
        float(arguments.rate),
        arguments.jobs,
        arguments.jobs_a_user,
        seconds=float(arguments.seconds),
        entries=arguments.entries,
        again_s=float(arguments.again),
    )
    path = arguments.socket or DEFAULT
    # One thread, since the rights of each count (privileges.py), and the arrays are small. Before the rights go: the new user may not read our files.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        from tutela.exposure.resident import Resident
    except ImportError:
        raise ScanError(Text("需要 numpy：pip install numpy", "numpy is needed: pip install numpy")) from None
    listener = listen(path, user, next(iter(sorted(allowed.groups)), None), everyone=bool(arguments.allow_user))
    own_socket = path.stat().st_ino
    try:
        own = None if user is None else (user.pw_uid, user.pw_gid, tuple(os.getgrouplist(user.pw_name, user.pw_gid)))
        keep_only_net_raw(own)
        Resident(listener, lists, allowed, limits).serve()
    finally:
        listener.close()
        # In a folder of root's it stays, and the next start removes it.
        with suppress(OSError):
            if path.stat().st_ino == own_socket:
                path.unlink()
    return 0


def listen(path: Path, user: struct_passwd | None, group: int | None, *, everyone: bool = False) -> socket.socket:
    """The socket: mode 0660, of the scanner's user and the group that may use it. Raises ScanError.

    With `everyone`, anybody may connect: who may ask is decided for each connection anyhow, and a mode cannot name single users.
    A socket that nobody serves any more is removed; a scanner that runs, and anything else under that name, is left alone.
    """
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, -1 if user is None else user.pw_uid, -1 if group is None else group)
        path.chmod(0o666 if everyone else 0o660)
        listener.listen(64)
    except OSError as problem:
        why = said_by_system(problem)
        raise ScanError(Text(f"无法监听 {path}：{why.zh}", f"cannot listen on {path}: {why.en}")) from None
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ScanError(Text(f"{path} 已存在且不是套接字，没有改动", f"{path} exists and is no socket; it was left as it is"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(2)
        try:
            knock.connect(str(path))
        except OSError as problem:
            if problem.errno == errno.ECONNREFUSED:
                path.unlink()
                return
            raise
    raise ScanError(Text(f"{path} 已有扫描进程在运行", f"a scanner is running at {path} already"))


def shown(what: str, allow: list[Path]) -> str:
    """The file, made ready where it holds prefixes."""
    text = (resources.files("tutela") / "content" / "scanner" / SHOWN[what]).read_text("utf-8")
    if what != "nft":
        own = Path(sys.argv[0]).absolute()
        return text.replace("@TUTELA@", str(own) if own.is_file() and os.access(own, os.X_OK) else "/usr/local/bin/tutela")
    from tutela.exposure.admission import Lists

    networks = Lists(allow, []).allowed
    for version in (4, 6):
        elements = ", ".join(str(network) for network in networks if network.version == version)
        text = text.replace(f"@PREFIXES{version}@", f"elements = {{ {elements} }}" if elements else "")
    return text


def _user(name: str | None) -> struct_passwd | None:
    return None if name is None else _user_named(name)


def _user_named(name: str) -> struct_passwd:
    from pwd import getpwnam, getpwuid

    try:
        return getpwuid(int(name)) if name.isdigit() else getpwnam(name)
    except KeyError:
        raise UsageError(Text(f"没有用户 {name}（tutela scanner --show users）", f"there is no user {name} (tutela scanner --show users)")) from None


def _group(name: str) -> int:
    from grp import getgrnam

    try:
        return int(name) if name.isdigit() else getgrnam(name).gr_gid
    except KeyError:
        raise UsageError(Text(f"没有组 {name}（tutela scanner --show users）", f"there is no group {name} (tutela scanner --show users)")) from None
