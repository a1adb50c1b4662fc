"""Look at a host through the system's OpenSSH client.

The user's ssh_config, agent, ProxyJump and known_hosts hold: nothing here weakens or overrides what the user chose.
The probe goes in by standard input, one exec, nothing is written to the host.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from tutela.collect.answer import Reader, make_bundle
from tutela.collect.run import Look, Running, Talk, probe_arguments, probe_text, run_probe
from tutela.collect.target import SshTarget
from tutela.errors import BundleError, CollectError, last_line
from tutela.evidence import Bundle, Status
from tutela.evidence.bundle import read_frames
from tutela.language import Text

if TYPE_CHECKING:
    from datetime import datetime

    from tutela.collect.run import Clock

SSH_FAILED = 255
"""ssh(1): exit status when the connection itself failed."""
_NO_JUMP = re.compile(rb"^Connection closed by UNKNOWN port \d+\s*\Z", re.MULTILINE)
_KEY_OF = re.compile(r"ost key(?: is known)? for (\S+) (?:has changed|and you have)")
NOT_FOUND = 127
"""sh(1): exit status when there is no such command."""


def ssh_argv(target: SshTarget, look: Look, options: tuple[str, ...] = (), command: list[str] | None = None) -> list[str]:
    """The command that runs the probe (or another command) on the target.

    BatchMode: a question nobody can answer must fail, not hang; so an unknown host key fails too, unless the user's configuration accepts it.
    Nothing is forwarded, neither ports nor the agent nor X11: a hostile target must not reach back.
    """
    argv = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={look.connect_timeout_s}", "-o", "ClearAllForwardings=yes", "-a", "-x", *options]
    if target.port is not None:
        argv += ["-p", str(target.port)]
    if target.user is not None:
        argv += ["-l", target.user]
    remote = ["sh", "-s", "--", *probe_arguments(look)] if command is None else command
    if look.become:
        remote = ["sudo", "-n", *remote]
    return [*argv, "--", target.host, shlex.join(remote)]


def collect_ssh(
    target: SshTarget,
    look: Look,
    clock: Clock,
    *,
    options: tuple[str, ...] = (),
    running: Running | None = None,
    read: Reader | None = None,
    answer: list[bytes] | None = None,
) -> Bundle:
    """Look at one host; `answer` gets what comes, as it comes.

    Raises CollectError with what ssh said and what to do about it.
    """
    frames, rc, complaints = run_probe(ssh_argv(target, look, options), look.timeout_s, running, Talk(probe_text(), answer=[] if answer is None else answer))
    if rc != 0:
        raise CollectError(explained(target, rc, complaints, look))
    try:
        return ssh_bundle(target, look, frames, clock(), read or read_frames)
    except BundleError as problem:
        raise CollectError(_noise(target, frames) or problem.message) from None


def ssh_bundle(target: SshTarget, look: Look, frames: bytes, at: datetime, read: Reader = read_frames) -> Bundle:
    """What the probe said of a host.

    Raises BundleError.
    """
    return make_bundle(target.name, frames, at, {"transport": "ssh", "address": target.host, "become": "yes" if look.become else "no"}, read)


def connected_to(target: SshTarget, look: Look, *, options: tuple[str, ...] = (), running: Running | None = None) -> str | None:
    """The name or address that ssh connects to by the user's configuration (ssh -G); None when the way leads through another host or program.

    Raises CollectError when ssh cannot say.
    """
    argv = ["ssh", "-G", *options, *(["-p", str(target.port)] if target.port is not None else []), *(["-l", target.user] if target.user else [])]
    said, rc, complaints = run_probe([*argv, "--", target.host], look.connect_timeout_s, running, Talk(b""))
    if rc != 0:
        raise CollectError(explained(target, rc, complaints, look))
    settings = dict(reversed([line.split(" ", 1) for line in said.decode("utf-8", "backslashreplace").split("\n") if " " in line]))
    if any(settings.get(way, "none") != "none" for way in ("proxyjump", "proxycommand")):
        return None
    return settings.get("hostname", target.host)


def _noise(target: SshTarget, frames: bytes) -> Text | None:
    """What to say when something else than the probe spoke first; None when nothing did."""
    if not frames or frames.startswith(tuple(f"{status} ".encode() for status in Status)):
        return None
    words = last_line(frames[:300].partition(b"\n")[0])
    return Text(
        f"{target.host} 在探针之前输出了 {words!r}；请检查该账户的 shell 启动文件（如 .bashrc）：没有终端时不应输出任何内容",
        f"{target.host} said {words!r} before the probe did; the start-up files of the account's shell (.bashrc) must print nothing without a terminal",
    )


def explained(target: SshTarget, rc: int, complaints: bytes, look: Look) -> Text:
    """Why ssh, or what it ran, failed, and what to do about it."""
    # Where a jump host fails, its own complaint stands before this line.
    words = last_line(_NO_JUMP.sub(b"", complaints) or complaints)
    said = complaints.decode("utf-8", "backslashreplace")
    host = target.host
    found = _KEY_OF.search(said)
    # ssh knows hosts by other names than we do, and a jump host has a key of its own.
    key = found[1] if found is not None and found[1].isprintable() else host
    of = Text(host, host) if key == host else Text(f"{host}（{key}）", f"{host} ({key})")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        remove = f"ssh-keygen -R {shlex.quote(key)}"
        return Text(
            f"{of.zh} 的主机密钥变了，可能遭到中间人攻击；未做任何检查。请先向管理员核实，再用 {remove} 删除旧密钥",
            f"the host key of {of.en} has changed, possibly a man in the middle; nothing was checked. Ask its administrator before you remove the old key with {remove}",
        )
    if "Host key verification failed" in said:
        return Text(
            f"还不认识 {of.zh} 的主机密钥；请先手工 ssh 一次并核对指纹",
            f"the host key of {of.en} is not known yet; log in once by ssh and compare its fingerprint",
        )
    if "Permission denied" in said and rc == SSH_FAILED:
        return Text(
            f"{host} 拒绝登录：{words}；请检查用户名、密钥与 ssh-agent",
            f"{host} refused the login: {words}; check the user name, the key and ssh-agent",
        )
    if look.become and rc == NOT_FOUND:
        return Text(f"{host} 上没有 sudo；请以 root 登录，或去掉 --become", f"there is no sudo on {host}; log in as root, or leave out --become")
    if look.become and "sudo" in said:
        return Text(
            f"{host} 上 sudo 需要密码或未授权：{words}；请授权免密 sudo，或去掉 --become",
            f"sudo on {host} wants a password or refuses: {words}; allow it without one, or leave out --become",
        )
    if rc == SSH_FAILED:
        return Text(f"无法连接 {host}：{words}", f"cannot connect to {host}: {words}")
    return Text(f"{host} 上的探针以 {rc} 退出：{words}", f"the probe on {host} ended with {rc}: {words}")
