"""Turn a root file system into one certain host: names, keys, accounts, the files of its role."""

from __future__ import annotations

import io
import secrets
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab import network
from tests.lab.access import Access
from tests.lab.command import run
from tests.lab.role import Role, RoleFile
from tests.lab.rootfs import RootCache, Stack, build_prefix

__all__ = ["fill_in", "prepare_host", "words_for"]

_COMMON = """
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -A
install -d -m 700 /root/.ssh
cp /run/lab/key.pub /root/.ssh/authorized_keys
useradd --create-home --shell /bin/bash ops
install -d -m 700 -o ops -g ops /home/ops/.ssh
install -m 600 -o ops -g ops /run/lab/key.pub /home/ops/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
chpasswd </run/lab/ops-password
touch /etc/.updated /var/.updated
"""
_SUDO = {
    "none": "",
    "password": "usermod -aG sudo ops\n",
    "nopasswd": "echo 'ops ALL=(ALL:ALL) NOPASSWD:ALL' >/etc/sudoers.d/ops\nchmod 440 /etc/sudoers.d/ops\n",
}
_MASKED = (
    "console-getty.service",
    "dev-hugepages.mount",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "getty@.service",
    "getty-static.service",
    "networking.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-networkd-wait-online.service",
)
"""Units that speak to hardware or to the machine's kernel, which a host of the lab does not own."""


def words_for(address: str, address6: str) -> dict[str, str]:
    """The words in a role's texts that stand for addresses."""
    return {
        "@ADDRESS@": address,
        "@ADDRESS6@": address6,
        "@CENTRE@": network.CENTRE,
        "@LOG_SERVER@": network.LOG_SERVER,
        "@ADMIN@": network.ADMIN,
        "@ADMIN6@": network.ADMIN6,
        "@CAMPUS@": network.CAMPUS,
        "@CAMPUS6@": network.CAMPUS6,
    }


def fill_in(text: str, words: Mapping[str, str]) -> str:
    """Replace each of `words` in `text`."""
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def prepare_host(
    cache: RootCache,
    stack: Stack,
    place: Path,
    *,
    name: str,
    role: Role,
    words: Mapping[str, str],
    access: Access,
) -> str:
    """Write host `name` over `stack` into `place`/upper; returns its public host keys, a line each.

    The role's `prepare` text runs last, as root in the new file system and without network.
    """
    script = ["set -eu", "umask 022", _COMMON, _SUDO[role.ops_sudo]]
    if role.init == "systemd":
        script += [f"ln -sf /dev/null /etc/systemd/system/{unit}" for unit in _MASKED]
    for file in role.files:
        script.append(f"chown {shlex.quote(file.owner)} {shlex.quote(file.path)}")
    script += [fill_in(role.prepare, words), "exec >&3", "cat /etc/ssh/ssh_host_*_key.pub"]
    hosts = f"127.0.0.1 localhost\n::1 localhost\n{words['@ADDRESS@']} {name}\n"
    files = [
        RoleFile(path="/etc/hostname", text=f"{name}\n"),
        RoleFile(path="/etc/machine-id", text=f"{secrets.token_hex(16)}\n", mode="444"),
        RoleFile(path="/run/lab/key.pub", text=access.public_key + "\n"),
        RoleFile(path="/run/lab/ops-password", text=f"ops:{access.ops_password}\n", mode="600"),
        RoleFile(path="/run/lab/prepare", text="\n".join(script)),
        *role.files,
    ]
    if role.start:
        files.append(RoleFile(path="/sbin/lab-init", text=role.start, mode="755"))
    unpack = "tar -x -p --no-overwrite-dir -C / && exec sh /run/lab/prepare 3>&1 >&2"
    argv = [*build_prefix(stack, place), "sh", "-c", unpack]
    archive = _archive(files, words)
    done = run(argv, stdin=archive, env=cache.environment, timeout_s=300)
    # While it is prepared, these two are the machine's own.
    (place / "upper/etc/hosts").write_text(hosts)
    (place / "upper/etc/resolv.conf").write_text("# the lab has no resolver\n")
    return done.stdout


def _archive(files: list[RoleFile], words: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            data = fill_in(file.text, words).encode()
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.size = len(data)
            member.mode = int(file.mode, 8)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
