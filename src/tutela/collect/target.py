"""What to look at: this host, a host over SSH, a recorded bundle."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tutela.errors import UsageError, said_by_system
from tutela.language import Text
from tutela.record import record

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?")


@record
class LocalTarget:
    """The host that Tutela runs on."""

    name: str = "localhost"


@record
class SshTarget:
    """A host that the system's ssh client reaches; what is left out, ssh_config(5) decides."""

    name: str
    """How reports call it."""
    host: str
    user: str | None = None
    port: int | None = None


@record
class BundleTarget:
    """A recorded bundle."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name


Target = LocalTarget | SshTarget | BundleTarget


def read_target(words: str) -> Target:
    """A target from the command line.

    Raises UsageError for anything that is neither an ssh address nor an existing file.
    """
    if words in ("localhost", "local"):
        return LocalTarget()
    if words.startswith("ssh://"):
        return _ssh(words)
    if words == "-":
        return BundleTarget(Path("/dev/stdin"))
    path = Path(words)
    # What no file could be called is no file; `exists` alone would raise on a name of 300 letters.
    with suppress(OSError, ValueError):
        try:
            if words and path.exists():
                return BundleTarget(path)
        except PermissionError as problem:
            why = said_by_system(problem)
            raise UsageError(Text(f"无法读取 {words}：{why.zh}", f"cannot read {words}: {why.en}")) from None
    # What may well be a host is shown as it would have to be written.
    host = re.fullmatch(r"[A-Za-z0-9_.@-]+(:[0-9]+)?", words) is not None and not words.endswith((".bundle", ".gz"))
    zh, en = (f"ssh://{words}",) * 2 if host else ("ssh://[用户@]主机[:端口]", "ssh://[user@]host[:port]")
    raise UsageError(
        Text(
            f"看不懂的目标 {words!r}：没有这个文件；远程主机请写成 {zh}，主机清单写成 @文件",
            f"cannot make sense of the target {words!r}: there is no such file; write a remote host as {en} and an inventory as @file",
        )
    )


def _ssh(words: str) -> SshTarget:
    wrong = UsageError(Text(f"地址 {words!r} 只能是 ssh://[用户@]主机[:端口]", f"the address {words!r} may only be ssh://[user@]host[:port]"))
    try:
        parts = urlsplit(words)
    except ValueError:
        raise wrong from None
    host = parts.hostname
    # urlsplit drops newlines and tabs, which would name another host than the one that was written.
    if not host or not words.isprintable() or parts.path not in ("", "/") or parts.query or parts.fragment or parts.password is not None:
        raise wrong
    try:
        port = parts.port
    except ValueError:
        given = parts.netloc.rpartition(":")[2]
        raise UsageError(Text(f"{given!r} 不是端口（1–65535）", f"{given!r} is no port (1-65535)")) from None
    # urlsplit lowers the host's case; ssh_config's Host patterns may mind.
    raw = parts.netloc.rpartition("@")[2]
    if not raw.startswith("["):
        host = raw.partition(":")[0]
    return ssh_target(host, host, parts.username, port)


def ssh_target(name: str, host: str, user: str | None, port: int | None) -> SshTarget:
    """An SSH target whose words cannot be taken for options or commands by ssh.

    Raises UsageError.
    """
    if not _HOST.fullmatch(host):
        raise UsageError(Text(f"{host!r} 不是主机名或地址", f"{host!r} is no host name or address"))
    if user is not None and not _USER.fullmatch(user):
        raise UsageError(Text(f"{user!r} 不是用户名", f"{user!r} is no user name"))
    if port is not None and not 0 < port < 65536:
        raise UsageError(Text(f"{port} 不是端口（1–65535）", f"{port} is no port (1-65535)"))
    return SshTarget(name, host, user, port)
