"""On which machine the target of a backup lies: this one, another, a cloud."""

from __future__ import annotations

import re

from tutela.evidence import Reason, Unobserved
from tutela.facts import mounts
from tutela.facts.look import Look
from tutela.facts.unseen import unseen
from tutela.language import Text

RCLONE = ("/root/.config/rclone/rclone.conf", "/etc/rclone.conf")
NEEDS = (*mounts.NEEDS, *RCLONE, "hostname", "ip -o addr")
CLOUD_HOSTS = re.compile(
    r"(amazonaws\.com(\.cn)?|aliyuncs\.com|myqcloud\.com|myhuaweicloud\.com|bcebos\.com|volces\.com|ksyuncs\.com|qiniucs\.com|backblazeb2\.com"
    r"|wasabisys\.com|googleapis\.com|windows\.net|cloudflarestorage\.com|digitaloceanspaces\.com)$"
)
CLOUD_PREFIXES = ("s3://", "gs://", "oss://", "cos://", "obs://", "az://", "b2://", "b2:", "gs:", "azure:", "swift:")
CLOUD_REMOTES = frozenset({"s3", "b2", "azureblob", "azurefiles", "drive", "dropbox", "onedrive", "swift", "googlecloudstorage", "box", "mega", "pcloud", "hidrive", "oos", "qingstor"})  # fmt: skip
"""Types of rclone's remotes."""
HOST_REMOTES = frozenset({"sftp", "webdav", "ftp", "smb", "http", "hdfs"})
LOCAL_WORDS = frozenset({"localhost", "127.0.0.1", "::1", "ip6-localhost"})
MAX_LINES = 2000


class Destinations:
    """What tells the machine of a target: names and mounts of this host, remotes of rclone."""

    def __init__(self, look: Look) -> None:
        mounted = look.fact(mounts.parse)
        self.mounted = None if isinstance(mounted, Unobserved) else mounted
        self.unknown_mounts = unseen(look, mounts.SOURCE)
        self._unknown_names = unseen(look, "hostname") or unseen(look, "ip -o addr")
        self._own = look.fact(_own)
        self._unknown_remotes = next((doubt for name in RCLONE if (doubt := unseen(look, name)) is not None), None)
        self._remotes = {remote: kind for name in RCLONE for remote, kind in _remotes(look.text(name)).items()}

    def of(self, target: str, job: str) -> str | Unobserved:
        """same-host | other-host | cloud; `job` is where a target that is not visible would stand."""
        hidden = Unobserved(Reason.NO_DATA, job, Text("备份目的地不可见", "where the backup goes is not visible"))
        if not target or target.startswith(("***", "$")):
            return hidden
        target = target.removeprefix("file://")
        if target.startswith("/"):
            if self.unknown_mounts is not None:
                return self.unknown_mounts
            mount = self.mounted.of(target) if self.mounted is not None else None
            return "other-host" if mount is not None and mount.remote else "same-host"
        if (found := re.match(r"(?:s3|s3\+https?):(?:https?:)?//([A-Za-z0-9.:-]+)", target)) and not target.startswith("s3://"):
            host = found[1].partition(":")[0]
            return "same-host" if host in self._own else "cloud" if CLOUD_HOSTS.search(host) else "other-host"
        if target.startswith(CLOUD_PREFIXES):
            return "cloud"
        target = target.removeprefix("rclone:")
        kind = self._remotes.get(target.partition(":")[0])
        if kind is not None:
            return "cloud" if kind in CLOUD_REMOTES else "other-host" if kind in HOST_REMOTES else "same-host" if kind == "local" else hidden
        if self._unknown_remotes is not None and re.fullmatch(r"[\w-]+:.*", target):
            return self._unknown_remotes
        machine = _machine(target)
        if machine is None:
            return hidden
        return "same-host" if machine in self._own else self._unknown_names or "other-host"


def _own(look: Look) -> set[str]:
    """Names and addresses of this host."""
    own = set(LOCAL_WORDS)
    hostname, addresses = look.text("hostname"), look.text("ip -o addr")
    if isinstance(hostname, str) and hostname.strip():
        own |= {hostname.strip(), hostname.strip().partition(".")[0]}
    if isinstance(addresses, str):
        own |= set(re.findall(r" inet6? ([0-9a-f.:]{3,45})/", addresses[:100_000]))
    return own


def _remotes(text: str | Unobserved) -> dict[str, str]:
    """Types of the remotes in a settings file of rclone, by name."""
    found: dict[str, str] = {}
    section = ""
    for line in text.split("\n")[:MAX_LINES] if isinstance(text, str) else ():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith("type"):
            found[section] = line.partition("=")[2].strip()
    return found


def _machine(target: str) -> str | None:
    """The machine that a target names."""
    words = re.sub(r"^(?:sftp|rest|rclone):(?=\S)", "", target) if not re.match(r"(?:sftp|rest)://", target) else target
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]{0,100}@)?([A-Za-z0-9._*-]{1,255})", words)
    if found is None:
        found = re.match(r"(?:[A-Za-z0-9_.*-]{1,100}@)?([A-Za-z0-9._-]{1,255}):", words)
    return found[1] if found else None
